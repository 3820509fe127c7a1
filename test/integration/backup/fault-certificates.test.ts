import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { type Authority, createAuthority, type Issued } from "../../harness/certificates.ts";
import { etcdBackup } from "../../harness/etcd-backup.ts";
import { type EtcdCluster, startEtcd } from "../../harness/etcd-cluster.ts";
import { tempDir } from "../../harness/process.ts";
import { backupFilesBelow } from "../../support/files.ts";

const hosts = ["localhost", "127.0.0.1"];
const yesterday = new Date(Date.now() - 24 * 60 * 60 * 1000);

let cluster: EtcdCluster;
let scratch: Awaited<ReturnType<typeof tempDir>>;
/** Signs the member's server certificates. The member trusts another authority, which signed the client certificate. */
let authority: Authority;
let otherAuthority: Authority;

before(async () => {
  cluster = await startEtcd({ tls: true });
  await cluster.etcdctl(["put", "a", "1"]);
  scratch = await tempDir("certificates");
  authority = await createAuthority("the members' CA");
  otherAuthority = await createAuthority("another CA");
});
after(async () => {
  await scratch[Symbol.asyncDispose]();
  await cluster[Symbol.asyncDispose]();
});

/** etcd reads its certificate from disk for every handshake. */
async function writeServerCertificate({ certPem, keyPem }: Issued): Promise<void> {
  const directory = dirname(cluster.tls?.caFile ?? "");
  await writeFile(join(directory, "server.crt"), certPem);
  await writeFile(join(directory, "server.key"), keyPem);
}

const valid = () => authority.issue({ commonName: "etcd", hosts });

interface Case {
  /** The member's certificate; a valid one when not given. */
  server?: () => Promise<Issued>;
  /** The client's certificate, or undefined for none; the harness' certificate when not given. */
  client?: (() => Promise<Issued> | undefined) | undefined;
  /** The authority that the client trusts; the member's when not given. */
  trust?: () => Authority;
  flags?: string[];
  says: RegExp;
}

const cases: Record<string, Case> = {
  "a CA that did not sign the member's certificate": {
    trust: () => otherAuthority,
    says: /TLS failed: the member's certificate is not signed by an authority that is trusted here/,
  },
  "a member whose certificate has expired": {
    server: () => authority.issue({ commonName: "etcd", hosts, notAfter: yesterday }),
    says: /TLS failed: a certificate has expired/,
  },
  "a member whose certificate names another host": {
    server: () => authority.issue({ commonName: "etcd", hosts: ["etcd-7.example"] }),
    says: /TLS failed: the member's certificate does not name 127\.0\.0\.1/,
  },
  "a server name that the certificate does not have": {
    flags: ["--server-name", "etcd-8.example"],
    says: /TLS failed: the member's certificate does not name etcd-8\.example, but DNS:localhost, IP Address:127\.0\.0\.1\)/,
  },
  "no client certificate where the member asks for one": {
    client: () => undefined,
    says: /TLS failed: the member asks for a client certificate/,
  },
  "a client certificate of another CA": {
    client: () => otherAuthority.issue({ commonName: "client" }),
    says: /TLS failed: the member does not accept the client certificate/,
  },
  "a client certificate that has expired": {
    client: () => authority.issue({ commonName: "client", notAfter: yesterday }),
    says: /TLS failed: the member reports that the client certificate has expired/,
  },
  "a key of another certificate": {
    client: async () => ({
      certPem: (await authority.issue({ commonName: "client" })).certPem,
      keyPem: (await authority.issue({ commonName: "client" })).keyPem,
    }),
    says: /TLS failed: the client certificate and its key do not belong together/,
  },
};

for (const [what, { server = valid, client, trust = () => authority, flags = [], says }] of Object.entries(
  cases,
)) {
  test(`save with ${what} exits with code 1, gives the reason and stores nothing`, async () => {
    await writeServerCertificate(await server());
    await using dir = await tempDir("refused");
    const ran = await save(dir.path, { client, trust, flags });
    assert.equal(ran.code, 1, ran.stderr);
    assert.match(ran.stderr, says);
    assert.match(ran.stderr, /hint: /);
    assert.deepEqual(await backupFilesBelow(dir.path), []);
  });
}

test("save with valid certificates succeeds, also after the member's certificate was renewed", async () => {
  await writeServerCertificate(await valid());
  await using dir = await tempDir("accepted");
  const ran = await save(dir.path, {});
  assert.equal(ran.code, 0, ran.stderr);
  await writeServerCertificate(await valid());
  const renewed = await save(dir.path, {});
  assert.equal(renewed.code, 0, renewed.stderr);
});

async function save(
  directory: string,
  { client, trust = () => authority, flags = [] }: Partial<Pick<Case, "client" | "trust" | "flags">>,
) {
  const { certPem, keyPem } = cluster.tls ?? { certPem: "", keyPem: "" };
  const clientCertificate = client === undefined ? { certPem, keyPem } : await client();
  const file = async (name: string, content: string): Promise<string> => {
    const path = join(scratch.path, name);
    await writeFile(path, content);
    return path;
  };
  return etcdBackup([
    "save",
    ...["--store", `file://${directory}`, "--cluster-name", "lab"],
    ...["--endpoints", cluster.endpoints.join(",")],
    ...["--cacert", await file("ca.crt", trust().caPem)],
    ...(clientCertificate === undefined
      ? []
      : [
          ...["--cert", await file("client.crt", clientCertificate.certPem)],
          ...["--key", await file("client.key", clientCertificate.keyPem)],
        ]),
    ...flags,
  ]);
}
