import { category, group, type ResourceDefinition, version } from "../schema/resource.ts";

/** The CustomResourceDefinition of a kind, with its properties in the order in which the file has them. */
export function customResourceDefinition(definition: ResourceDefinition): object {
  const { kind, plural, singular, shortNames, spec, status } = definition;
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, listKind: `${kind}List`, plural, singular, shortNames, categories: [category] },
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          subresources: { status: {} },
          ...(definition.selectableFields.length === 0
            ? {}
            : { selectableFields: definition.selectableFields.map((jsonPath) => ({ jsonPath })) }),
          additionalPrinterColumns: definition.columns,
          schema: {
            openAPIV3Schema: {
              type: "object",
              description: definition.description,
              required: ["spec"],
              ...(definition.rules === undefined ? {} : { "x-kubernetes-validations": definition.rules }),
              properties: {
                apiVersion: { type: "string", description: `Always ${group}/${version}.` },
                kind: { type: "string", description: `Always ${kind}.` },
                metadata: { type: "object" },
                spec,
                status,
              },
            },
          },
        },
      ],
    },
  };
}
