import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { sentenceOf } from "../../api/errors";
import { queryClient } from "../../api/queries";
import type { Json, JsonObject } from "../../api/types";
import { isComplete, JsonArea } from "../../schema/JsonArea";
import { isObject } from "../../schema/schema";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { TextField } from "../../ui/fields";
import { useNotices } from "../../ui/Notices";
import { Alert } from "../../ui/states";
import { deleteItem, type Item, joined, labels, putItem } from "./items";

interface Props {
  /** null: a new one. */
  item: Item | null;
  /** Where a new one goes, if nothing else is said. */
  below: string;
  onClose: () => void;
}

/** Shows, changes, makes and deletes an item. */
export function ItemDialog({ item, below, onClose }: Props) {
  const { done } = useNotices();
  const [namespace, setNamespace] = useState(item ? joined(item.namespace) : below);
  const [key, setKey] = useState(item?.key ?? "");
  const [value, setValue] = useState<Json | undefined>((item?.value as JsonObject | undefined) ?? {});
  const [ttl, setTtl] = useState("");
  const [deleting, setDeleting] = useState(false);
  const act = useMutation({
    mutationFn: (what: () => Promise<void>) => what(),
    onSuccess: async () => {
      await queryClient.invalidateQueries({ queryKey: ["store"] });
      onClose();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (!isComplete(event.currentTarget) || !isObject(value)) return;
    const put = () => putItem({ namespace: labels(namespace), key }, value, ttl === "" ? undefined : Number(ttl));
    act.mutate(put, { onSuccess: () => done("Kept.") });
  };
  return (
    <Dialog title={item ? item.key : "New item"} open onClose={onClose}>
      <form className="item" onSubmit={submit}>
        {item ? (
          <p className="hint">In {joined(item.namespace)}</p>
        ) : (
          <>
            <TextField label="Namespace" value={namespace} onChange={setNamespace} hint="Labels, joined by dots." />
            <TextField label="Key" value={key} onChange={setKey} />
          </>
        )}
        <JsonArea label="Value" rows={12} value={value} onChange={setValue} hint="A JSON object." />
        <TextField
          type="number"
          label="Forget after minutes"
          value={ttl}
          onChange={setTtl}
          hint="Empty: as the store's settings say."
        />
        {act.error && <Alert>{sentenceOf(act.error)}</Alert>}
        <div className="actions">
          <Button type="submit" kind="primary" disabled={act.isPending || namespace === "" || key === "" || !isObject(value)}>
            Keep
          </Button>
          {item && !deleting && (
            <Button kind="danger" onClick={() => setDeleting(true)}>
              Delete
            </Button>
          )}
          {item && deleting && (
            <Button
              kind="danger"
              disabled={act.isPending}
              onClick={() => act.mutate(() => deleteItem(item), { onSuccess: () => done("Deleted.") })}
            >
              Delete it for good
            </Button>
          )}
          <Button onClick={onClose}>Go back</Button>
        </div>
      </form>
    </Dialog>
  );
}
