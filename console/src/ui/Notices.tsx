import { Toast } from "@base-ui/react/toast";
import type { ReactNode } from "react";

import { sentenceOf } from "../api/errors";

/** Short messages at the edge of the window: what was done, or why not. */
export function Notices({ children }: { children: ReactNode }) {
  return (
    <Toast.Provider>
      {children}
      <Toast.Portal>
        <Toast.Viewport className="notices">
          <List />
        </Toast.Viewport>
      </Toast.Portal>
    </Toast.Provider>
  );
}

function List() {
  const { toasts } = Toast.useToastManager();
  return toasts.map((toast) => (
    <Toast.Root key={toast.id} toast={toast} className={`notice notice-${toast.type ?? "done"}`}>
      <Toast.Content>
        <Toast.Title render={<p />} />
      </Toast.Content>
      <Toast.Close className="button button-quiet" aria-label="Close">
        ×
      </Toast.Close>
    </Toast.Root>
  ));
}

export function useNotices() {
  const { add } = Toast.useToastManager();
  return {
    done: (title: string) => void add({ title, type: "done" }),
    failed: (error: unknown) => void add({ title: sentenceOf(error), type: "failed", priority: "high", timeout: 15_000 }),
  };
}
