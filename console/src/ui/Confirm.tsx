import { AlertDialog } from "@base-ui/react/alert-dialog";
import type { ReactNode } from "react";

interface Props {
  title: string;
  open: boolean;
  /** What the button that does it says. */
  does: string;
  onConfirm: () => void;
  onClose: () => void;
  children?: ReactNode;
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, open, does, onConfirm, onClose, children }: Props) {
  return (
    <AlertDialog.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <AlertDialog.Portal>
        <AlertDialog.Backdrop className="dialog-backdrop" />
        <AlertDialog.Popup className="dialog">
          <AlertDialog.Title>{title}</AlertDialog.Title>
          <AlertDialog.Description render={<div />}>{children}</AlertDialog.Description>
          <div className="actions">
            <AlertDialog.Close className="button button-plain">Go back</AlertDialog.Close>
            <AlertDialog.Close className="button button-danger" onClick={onConfirm}>
              {does}
            </AlertDialog.Close>
          </div>
        </AlertDialog.Popup>
      </AlertDialog.Portal>
    </AlertDialog.Root>
  );
}
