import { randomBytes } from "node:crypto";
import { OperatorError } from "../../core/errors.ts";
import type { ApiCall, RequestOptions } from "../request.ts";
import type { KubeClient } from "../client.ts";
import type { EventText, Regarding, Series } from "./series.ts";
import { type KubeObject, pathOf, type ResourceKind, resourceName, microTime } from "../objects.ts";

/** https://kubernetes.io/docs/reference/kubernetes-api/cluster-resources/event-v1/ */
export interface KubeEvent extends KubeObject, EventText {
  /** RFC 3339 with microseconds. */
  eventTime: string;
  reportingController: string;
  reportingInstance: string;
  regarding: Regarding;
  /** Absent for an event that happened once. */
  series?: { count: number; lastObservedTime: string };
}

export const events: ResourceKind<KubeEvent> = {
  group: "events.k8s.io",
  version: "v1",
  plural: "events",
  kind: "Event",
  namespaced: true,
};

const reportingController = "etcdbackup.dev/operator";

/** Creates the Event object of the series, or updates its count. Throws OperatorError. */
export async function writeSeries(
  client: Pick<KubeClient, "create" | "request">,
  series: Series,
  reportingInstance: string,
  options: RequestOptions,
): Promise<void> {
  const { count, eventName } = series;
  if (eventName === undefined) {
    series.eventName = await createEvent(client, series, reportingInstance, options);
  } else {
    try {
      await client.request(countCall(series, eventName), options);
    } catch (error) {
      // The server keeps events for an hour by default: a deleted one is created again.
      if (!(error instanceof OperatorError) || error.code !== "NotFound") throw error;
      series.eventName = await createEvent(client, series, reportingInstance, options);
    }
  }
  series.written = count;
}

async function createEvent(
  client: Pick<KubeClient, "create">,
  series: Series,
  reportingInstance: string,
  options: RequestOptions,
): Promise<string> {
  const { regarding, text, first } = series;
  // The cut name must not end in a dash or a dot.
  const prefix = regarding.name.slice(0, 230).replace(/[^a-z0-9]+$/, "");
  const name = `${prefix}.${randomBytes(8).toString("hex")}`;
  const draft = {
    metadata: { namespace: namespaceOf(series), name },
    eventTime: microTime(new Date(first)),
    reportingController,
    reportingInstance: reportingInstance.slice(0, 128),
    regarding,
    ...text,
    ...seriesField(series),
  };
  await client.create(events, draft, options);
  return name;
}

function countCall(series: Series, name: string): ApiCall {
  return {
    verb: "patch",
    resource: resourceName(events),
    of: `${namespaceOf(series)}/${name}`,
    method: "PATCH",
    path: pathOf(events, { namespace: namespaceOf(series), name }),
    contentType: "application/merge-patch+json",
    body: seriesField(series),
    repeatable: true,
  };
}

/** The server accepts a series from the second event on. */
function seriesField({ count, last }: Series): Pick<KubeEvent, "series"> {
  return count < 2 ? {} : { series: { count, lastObservedTime: microTime(new Date(last)) } };
}

/** Events about an object without a namespace belong to `default`. */
function namespaceOf({ regarding }: Series): string {
  return regarding.namespace ?? "default";
}
