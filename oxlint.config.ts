import { readdirSync } from "node:fs";
import { defineConfig, type OxlintOverride } from "oxlint";

/** What one folder of src may import besides itself. `types`: type-only imports. */
interface Folder {
  imports: readonly string[];
  types?: readonly string[];
  because: string;
}

/** The dependency rules of docs/architecture.md. A folder of src that is not listed here may import no other folder. */
const rules: Readonly<Record<string, Folder>> = {
  api: { imports: [], because: "The custom resources are schemas: they depend on no behavior." },
  bbolt: { imports: [], because: "The file format depends on nothing of etcd or Kubernetes." },
  core: { imports: ["api"], because: "Decisions are pure: they know no adapter." },
  etcd: { imports: ["core"], because: "An adapter knows no other adapter: each can be replaced alone." },
  store: {
    imports: ["core"],
    types: ["api"],
    because: "An adapter knows no other adapter: each can be replaced alone.",
  },
  kube: { imports: ["api", "core"], because: "An adapter knows no other adapter: each can be replaced alone." },
  telemetry: { imports: ["core"], because: "An adapter knows no other adapter: each can be replaced alone." },
  snapshot: { imports: ["bbolt", "core"], because: "Reading one snapshot file needs no store and no cluster." },
  backup: {
    imports: ["api", "core", "snapshot"],
    types: ["store"],
    because: "A backup gets its cluster and its store as parameters.",
  },
  restore: {
    imports: ["api", "core"],
    because: "A restore makes a data directory and Kubernetes objects: where the snapshot comes from is a parameter.",
  },
  jobs: {
    imports: ["backup", "core", "restore"],
    types: ["store"],
    because: "A step of a Job gets its store as a parameter.",
  },
  controllers: {
    imports: ["api", "backup", "core", "restore"],
    types: ["store"],
    because: "Controllers get their adapters from the operator's wiring.",
  },
  operator: {
    imports: ["api", "controllers", "core", "etcd", "kube", "restore", "store", "telemetry"],
    because: "The operator knows nothing of flags and terminals.",
  },
  cli: {
    imports: ["backup", "core", "etcd", "jobs", "operator", "restore", "snapshot", "store"],
    because: "A command reaches the controllers through operator/run.ts alone.",
  },
};

const folders = readdirSync("src", { withFileTypes: true }).flatMap((entry) =>
  entry.isDirectory() ? [entry.name] : [],
);
/** Levels of folders below src that the rules reach. */
const deepest = 4;

/** For the files of a folder at one depth: the paths by which they would reach a folder that they may not import. */
function overrideOf(name: string, { imports, types = [], because }: Folder, depth: number): OxlintOverride {
  const others = folders.filter((other) => other !== name && !imports.includes(other));
  const paths = (names: readonly string[]) => names.map((other) => `${"../".repeat(depth)}${other}/**`);
  const patterns = [
    { group: paths(others.filter((other) => !types.includes(other))), message: because },
    { group: paths(types), message: `${because} Types only.`, allowTypeImports: true },
  ].filter(({ group }) => group.length > 0);
  return {
    files: [`src/${name}/${"*/".repeat(depth - 1)}*.ts`],
    rules: { "no-restricted-imports": ["error", { patterns }] },
  };
}

const unlisted: Folder = { imports: [], because: "List this folder in oxlint.config.ts, with what it may import." };

const importRules = folders.flatMap((name) =>
  Array.from({ length: deepest }, (_, index) => overrideOf(name, rules[name] ?? unlisted, index + 1)),
);

export default defineConfig({
  plugins: ["typescript", "import", "unicorn", "promise", "node"],
  categories: { correctness: "error", suspicious: "error" },
  rules: {
    "typescript/no-floating-promises": [
      "error",
      {
        allowForKnownSafeCalls: [
          {
            from: "package",
            name: ["test", "describe", "it", "suite", "before", "after"],
            package: "node:test",
          },
        ],
      },
    ],
    "typescript/switch-exhaustiveness-check": ["error", { considerDefaultExhaustiveForUnions: true }],
    "typescript/no-misused-promises": "error",
    "typescript/await-thenable": "error",
    "typescript/no-explicit-any": "error",
    "typescript/no-non-null-assertion": "error",
    "typescript/consistent-type-imports": "error",
    "import/no-cycle": "error",
    "import/no-default-export": "error",
    "no-console": "error",
    "typescript/no-unsafe-type-assertion": "off",
    "no-await-in-loop": "off",
    "unicorn/consistent-function-scoping": "off",
    "typescript/consistent-return": "off",
    "import/no-named-as-default-member": "off",
    "typescript/unbound-method": "off",
    "max-lines": ["error", { max: 300, skipBlankLines: true, skipComments: true }],
    "max-lines-per-function": ["error", { max: 60, skipBlankLines: true, skipComments: true }],
  },
  overrides: [
    ...importRules,
    {
      files: ["**/*.test.ts", "**/*.contract.ts", "**/*.fixture.ts"],
      rules: { "no-restricted-imports": "off" },
    },
    // A suite is one function, and the state of a fixture is a closure.
    {
      files: ["**/*.test.ts", "**/*.contract.ts", "**/*.fixture.ts", "test/**"],
      rules: { "max-lines-per-function": "off", "max-lines": ["error", { max: 450 }] },
    },
    { files: ["oxlint.config.ts"], rules: { "import/no-default-export": "off" } },
    { files: ["scripts/**", "test/**"], rules: { "no-console": "off" } },
    {
      files: ["**/*.test.ts", "**/*.contract.ts", "test/**"],
      rules: {
        "unicorn/no-array-sort": "off",
        "unicorn/no-useless-spread": "off",
        "no-control-regex": "off",
        "no-shadow": "off",
        "typescript/require-array-sort-compare": "off",
        "no-new": "off",
        "promise/always-return": "off",
        "typescript/restrict-template-expressions": "off",
      },
    },
  ],
});
