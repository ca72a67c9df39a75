/** One place in which two JSON values differ. */
export interface Change {
  path: string;
  kind: "added" | "removed" | "changed";
  before?: unknown;
  after?: unknown;
}

/** Where two JSON values differ. Lists are compared element by element: states mostly grow at their end. */
export function changesOf(before: unknown, after: unknown, path = ""): Change[] {
  if (Object.is(before, after)) return [];
  if (before === undefined) return [{ path, kind: "added", after }];
  if (after === undefined) return [{ path, kind: "removed", before }];
  if (!isContainer(before) || !isContainer(after) || Array.isArray(before) !== Array.isArray(after))
    return [{ path, kind: "changed", before, after }];
  const keys = new Set([...Object.keys(before), ...Object.keys(after)]);
  return [...keys].flatMap((key) => {
    const place = Array.isArray(before) ? `${path}[${key}]` : path ? `${path}.${key}` : key;
    return changesOf(at(before, key), at(after, key), place);
  });
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

function at(container: object, key: string): unknown {
  return Object.hasOwn(container, key) ? (container as Record<string, unknown>)[key] : undefined;
}
