import { useState } from "react";

import type { ThreadState } from "../../api/history";
import type { Thread } from "../../api/threads";
import { Button } from "../../ui/Button";
import { JsonView } from "../../ui/JsonView";
import { assistantOf } from "./assistant";
import { Fork } from "./Fork";

/** A thread's newest state, and a way to edit it. */
export function State({ thread, state }: { thread: Thread; state: ThreadState }) {
  // The state as it was when the editor was opened: it may change meanwhile.
  const [edited, setEdited] = useState<ThreadState | null>(null);
  const { thread_id: threadId } = thread;
  // A thread on which nothing has run has no state yet.
  const isThere = Boolean(state.checkpoint?.checkpoint_id);
  return (
    <>
      <JsonView label="State" value={state.values} />
      {isThere && (
        <Button disabled={thread.status === "busy"} onClick={() => setEdited(state)}>
          Edit the state
        </Button>
      )}
      {edited && (
        <Fork threadId={threadId} step={edited} assistant={assistantOf(thread)} onClose={() => setEdited(null)} />
      )}
    </>
  );
}
