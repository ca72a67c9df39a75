import type { ErrorComponentProps } from "@tanstack/react-router";

import { Failed } from "./states";

/** A page that broke. */
export function Crash({ error, reset }: ErrorComponentProps) {
  return <Failed error={error} retry={reset} />;
}
