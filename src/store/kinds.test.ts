import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { StoreKindName } from "../api/v1alpha1/etcd-backup-store-location.ts";
import type { EtcdBackupStore } from "../api/v1alpha1/etcd-backup-store.ts";
import type { StoreFacts } from "../core/store/facts.ts";
import { storeOf as defaultStore } from "../core/store/store.fixture.ts";
import { factsOf, settingsOf } from "./kinds.ts";
import type { Grants } from "./grants.ts";

type Spec = EtcdBackupStore["spec"];

function storeOf(spec: Partial<Spec>): EtcdBackupStore {
  const { spec: defaults, ...store } = defaultStore();
  const { file: _, ...common } = defaults;
  return { ...store, spec: { ...common, ...spec } };
}

const s3 = { bucket: "backups", forcePathStyle: false, checksum: "Auto", versions: "Keep" } as const;

const cases: { [K in StoreKindName]: [Pick<Spec, K>, Omit<StoreFacts, "jobRefusal">][] } = {
  s3: [
    [{ s3 }, { missing: "BucketNotFound", secrets: [], removesVersions: false }],
    [
      {
        s3: {
          ...s3,
          versions: "Remove",
          credentialsSecretRef: { name: "keys" },
          caBundleSecretRef: { name: "ca" },
        },
      },
      { missing: "BucketNotFound", secrets: ["keys", "ca"], removesVersions: true },
    ],
  ],
  file: [[{ file: { path: "/backups" } }, { missing: "PathNotFound", secrets: [], removesVersions: false }]],
};

describe("an EtcdBackupStore", () => {
  for (const [kind, ofKind] of Object.entries(cases))
    for (const [spec, facts] of ofKind)
      it(`of kind ${kind} says the reason of a missing location, its Secrets, and what a deletion removes: ${JSON.stringify(spec)}`, () => {
        const { jobRefusal: _, ...said } = factsOf(storeOf(spec));
        assert.deepEqual(said, facts);
      });

  it("of a later release's kind is refused with a message that names the kinds of this one", async () => {
    const unknown = storeOf({ azure: { container: "backups" } } as Partial<Spec>);
    await assert.rejects(settingsOf(unknown, {} as Grants), {
      code: "InvalidConfiguration",
      message: "the EtcdBackupStore has neither s3 nor file",
    });
    assert.deepEqual(factsOf(unknown).secrets, []);
  });
});
