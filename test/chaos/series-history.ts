import { GetObjectCommand, type S3Client } from "@aws-sdk/client-s3";
import type { Manifest } from "../../src/backup/manifest/manifest.ts";
import type { S3Fault, S3Request } from "../support/s3-fault-proxy.ts";
import { objectKeys } from "../support/s3-store.ts";
import { type StoredBackup, whyNotRemove } from "./removals.ts";

interface HistoryOptions {
  raw: S3Client;
  bucket: string;
  hasSucceeded: (owner: string | undefined) => boolean;
}

/** The text by which series are compared: two Kubernetes clusters with the same names have two series. */
export function seriesText({ name, namespace, kubernetesCluster }: NonNullable<Manifest["series"]>): string {
  return `${namespace ?? "-"}/${name} of ${kubernetesCluster ?? "no Kubernetes cluster"}`;
}

/** Every backup that a bucket ever held, read from the store itself. Each removal by an operator is judged before it happens. */
export class SeriesHistory {
  /** Backups that were listed at some time, by the keys of their manifests. */
  readonly ever = new Map<string, StoredBackup>();
  /** Keys of manifests that no operator may remove. */
  readonly untouchable = new Set<string>();
  /** Removals that must not happen. */
  readonly violations: string[] = [];
  readonly #options: HistoryOptions;

  constructor(options: HistoryOptions) {
    this.#options = options;
  }

  /** The backups that the bucket holds now. */
  async look(): Promise<StoredBackup[]> {
    const { raw, bucket } = this.#options;
    const keys = new Set(await objectKeys(raw, bucket));
    const manifests = [...keys].filter((key) => /^[^/]+\/\d{8}T\d{6}Z-r\d{20}-[^/]+\.json$/.test(key));
    return Promise.all(
      manifests.map(async (key) => {
        const known = this.ever.get(key) ?? (await this.#read(key));
        const backup = { ...known, isComplete: keys.has(known.data) };
        this.ever.set(key, backup);
        return backup;
      }),
    );
  }

  /** Judges a removal that the proxy is about to forward. One that cannot be judged is answered with an error. */
  async beforeForwarding({ operation, url }: S3Request): Promise<S3Fault | undefined> {
    const { bucket, hasSucceeded } = this.#options;
    const [, of, ...names] = decodeURIComponent(new URL(url, "http://store").pathname).split("/");
    const key = names.join("/");
    if (operation !== "Delete" || of !== bucket || key.startsWith(".")) return undefined;
    try {
      const why = whyNotRemove(key, await this.look(), { keys: this.untouchable, hasSucceeded });
      if (why !== undefined) this.violations.push(`${new Date().toISOString()} ${why}`);
      return undefined;
    } catch {
      return { do: "answer", status: 503, code: "SlowDown" };
    }
  }

  async #read(key: string): Promise<StoredBackup> {
    const { raw, bucket } = this.#options;
    const { Body } = await raw.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
    const { stored, series, snapshot, owner } = JSON.parse(
      (await Body?.transformToString()) ?? "",
    ) as Manifest;
    return {
      manifest: key,
      data: stored.object,
      isComplete: true,
      series: series === undefined ? undefined : seriesText(series),
      revision: snapshot.revision,
      owner: owner?.uid,
    };
  }
}
