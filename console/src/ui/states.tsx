import type { ReactNode } from "react";

import { ApiError, sentenceOf } from "../api/errors";
import { Button } from "./Button";

export function Loading({ what = "the page" }: { what?: string }) {
  return (
    <p className="loading" role="status">
      Loading {what}…
    </p>
  );
}

/** Something went wrong: said at once by screen readers. */
export function Alert({ children }: { children: ReactNode }) {
  return (
    <div className="alert" role="alert">
      {children}
    </div>
  );
}

/** What could not be loaded or done, why, and a way on. */
export function Failed({ error, retry }: { error: unknown; retry?: () => void }) {
  const request = error instanceof ApiError ? error.instance : undefined;
  return (
    <Alert>
      <p>{sentenceOf(error)}</p>
      {request && <p className="hint">Request {request}</p>}
      {retry && <Button onClick={retry}>Try again</Button>}
    </Alert>
  );
}

/** What is shown is old: the connection is being made again. */
export function Reconnecting({ shown }: { shown: boolean }) {
  return (
    <div className="reconnecting" role="status">
      {shown && "Connection lost. Reconnecting…"}
    </div>
  );
}
