import { Button } from "./Button";
import { useNotices } from "./Notices";

/** A button that copies a text. */
export function Copy({ text, children = "Copy" }: { text: string; children?: string }) {
  const { done, failed } = useNotices();
  return (
    <Button kind="quiet" onClick={() => navigator.clipboard.writeText(text).then(() => done("Copied."), failed)}>
      {children}
    </Button>
  );
}
