import { bolt } from "./bolt.ts";
import { manifest } from "./manifest.ts";
import { names } from "./names.ts";
import { resource } from "./resource.ts";
import { schedule } from "./schedule.ts";
import { storeUrl } from "./store-url.ts";
import { stored } from "./stored.ts";
import type { Target } from "./target.ts";
import { trailer } from "./trailer.ts";

export const targets: readonly Target[] = [
  bolt,
  trailer,
  stored,
  manifest,
  names,
  resource,
  schedule,
  storeUrl,
];
