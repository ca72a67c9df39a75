import { Check } from "../../schema/SchemaForm";
import { Dialog } from "../../ui/Dialog";
import { useSingleKeys } from "../../ui/useKeys";

const KEYS = [
  ["j, k", "The next question, the one before"],
  ["a", "Approve or accept"],
  ["e", "Edit the arguments"],
  ["r", "Reject, or respond where nothing can be rejected"],
  ["w", "Write a response"],
  ["i", "Ignore"],
  ["Enter", "Send, when the button has the focus"],
  ["?", "This list"],
] as const;

export function KeyHelp({ open, onClose }: { open: boolean; onClose: () => void }) {
  const [on, setOn] = useSingleKeys();
  return (
    <Dialog title="Keys" open={open} onClose={onClose}>
      <dl className="facts">
        {KEYS.map(([key, does]) => (
          <div key={key}>
            <dt>
              <kbd>{key}</kbd>
            </dt>
            <dd>{does}</dd>
          </div>
        ))}
      </dl>
      <p className="hint">With several actions a key decides the one that has the focus, else the first open one.</p>
      <Check label="Single keys do something" checked={on} onChange={setOn} />
    </Dialog>
  );
}
