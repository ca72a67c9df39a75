import type { Json, JsonObject } from "../api/types";

/** A JSON schema, as far as forms look at one. */
export interface JsonSchema {
  type?: string | string[];
  title?: string;
  description?: string;
  default?: Json;
  const?: Json;
  enum?: Json[];
  properties?: Record<string, JsonSchema>;
  required?: string[];
  items?: JsonSchema;
  anyOf?: JsonSchema[];
  oneOf?: JsonSchema[];
  allOf?: JsonSchema[];
  $ref?: string;
  $defs?: Record<string, JsonSchema>;
  format?: string;
}

/** What a form can show by a field of its own; everything else is written as JSON. */
export type Kind = "text" | "number" | "integer" | "boolean" | "choice" | "object" | "list" | "json";

/** The schema behind references and behind "this, or null". */
export function resolve(schema: JsonSchema, root: JsonSchema, depth = 0): JsonSchema {
  if (depth > 10) return {};
  const named = schema.$ref?.match(/^#\/\$defs\/(.+)$/)?.[1];
  if (schema.$ref) {
    const { $ref: _, ...beside } = schema;
    const target = named ? root.$defs?.[decodeURIComponent(named)] : undefined;
    return target ? resolve({ ...target, ...beside }, root, depth + 1) : {};
  }
  const { anyOf, oneOf, allOf, ...rest } = schema;
  const choices = anyOf ?? oneOf ?? allOf;
  const [only, ...others] = choices?.filter((choice) => choice.type !== "null") ?? [];
  return only && others.length === 0 ? resolve({ ...only, ...rest }, root, depth + 1) : schema;
}

/** How a resolved schema is shown. */
export function kindOf(schema: JsonSchema, root: JsonSchema): Kind {
  if (schema.enum?.every((value) => typeof value !== "object" || value === null)) return "choice";
  const type = Array.isArray(schema.type) ? schema.type.filter((name) => name !== "null") : [schema.type];
  if (type.length !== 1 || schema.anyOf || schema.oneOf) return "json";
  switch (type[0]) {
    case "string":
      return "text";
    case "number":
    case "integer":
    case "boolean":
      return type[0];
    case "object":
      return schema.properties && Object.keys(schema.properties).length > 0 ? "object" : "json";
    case "array":
      return schema.items && kindOf(resolve(schema.items, root), root) === "text" ? "list" : "json";
    default:
      return "json";
  }
}

/** A schema that a value fits: for what is to be edited and has none. */
export function schemaOf(value: Json): JsonSchema {
  if (typeof value === "string") return { type: "string" };
  if (typeof value === "number") return { type: "number" };
  if (typeof value === "boolean") return { type: "boolean" };
  if (!isObject(value)) return {};
  const properties = Object.entries(value).map(([name, member]) => [name, schemaOf(member)]);
  return { type: "object", properties: Object.fromEntries(properties), required: Object.keys(value) };
}

/** What a form begins with: what the schema says for what is not said. */
export function defaultsOf(schema: JsonSchema, root: JsonSchema): JsonObject {
  const value: JsonObject = {};
  for (const [name, member] of Object.entries(schema.properties ?? {})) {
    const resolved = resolve(member, root);
    if (resolved.default !== undefined && resolved.default !== null) value[name] = resolved.default;
    else if (resolved.type === "boolean" && schema.required?.includes(name)) value[name] = false;
  }
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
