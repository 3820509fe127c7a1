import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperatorError } from "../core/errors.ts";
import { formatInitialCluster, memberNamed, parseInitialCluster } from "./initial-cluster.ts";

const three = "m1=https://10.0.0.1:2380,m2=https://10.0.0.2:2380,m3=https://[fd00::3]:2380";

function refusal(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    assert.ok(error instanceof OperatorError && error.code === "Usage", String(error));
    return `${error.message} | ${error.hint ?? ""}`;
  }
  return assert.fail("it was accepted");
}

describe("parseInitialCluster", () => {
  it("accepts what etcd accepts, and formatInitialCluster gives the same text", () => {
    const members = parseInitialCluster(three);
    assert.deepEqual(
      members.map(({ name }) => name),
      ["m1", "m2", "m3"],
    );
    assert.equal(formatInitialCluster(members), three);
  });

  it("collects the URLs of a member that has several", () => {
    const [only] = parseInitialCluster("a=http://h2:2380, a=http://h1:2380/");
    assert.deepEqual(only, { name: "a", peerUrls: ["http://h1:2380", "http://h2:2380"] });
  });

  const refused: [string, string, RegExp][] = [
    ["nothing", "", /"" is not name=peerURL/],
    ["a URL without a name", "https://10.0.0.1:2380", /is not name=peerURL/],
    ["a name without a URL", "m1=", /"m1=" is not name=peerURL/],
    ["a trailing comma", "m1=http://a:2380,", /"" is not name=peerURL/],
    ["one URL for two members", "m1=http://a:2380,m2=http://a:2380/", /given to both m1 and m2/],
    ["one URL twice", "m1=http://a:2380,m1=http://a:2380", /given to m1 twice/],
    ["no port", "m1=http://a", /http:\/\/a is not a peer URL/],
    ["no scheme", "m1=a:2380", /a:2380 is not a peer URL/],
    ["another scheme", "m1=ftp://a:2380", /not a peer URL/],
    ["a path", "m1=http://a:2380/members", /not a peer URL/],
  ];
  for (const [what, text, message] of refused) {
    it(`refuses ${what}`, () =>
      assert.match(
        refusal(() => parseInitialCluster(text)),
        message,
      ));
  }

  it("does not repeat the password of a URL", () => {
    const message = refusal(() => parseInitialCluster("m1=http://root:secret@a:2380"));
    assert.doesNotMatch(message, /secret/);
  });
});

describe("memberNamed", () => {
  const cluster = parseInitialCluster(three);

  it("finds the member, with or without its own URLs repeated", () => {
    assert.equal(memberNamed(cluster, "m2", undefined).name, "m2");
    assert.equal(memberNamed(cluster, "m2", "https://10.0.0.2:2380/").name, "m2");
  });

  it("refuses a name that is not in the cluster, and lists those that are", () => {
    assert.match(
      refusal(() => memberNamed(cluster, "m4", undefined)),
      /--name m4 is not in --initial-cluster, which has m1, m2, m3/,
    );
  });

  it("refuses peer URLs that differ from those in --initial-cluster", () => {
    assert.match(
      refusal(() => memberNamed(cluster, "m1", "https://10.0.0.9:2380")),
      /https:\/\/10\.0\.0\.9:2380 differs from the peer URLs of m1 in --initial-cluster: https:\/\/10\.0\.0\.1:2380/,
    );
  });
});
