import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { Button } from "../../ui/Button";
import { Copy } from "../../ui/Copy";
import { Dialog } from "../../ui/Dialog";
import { Choice, TextField } from "../../ui/fields";
import { Failed } from "../../ui/states";
import { createKey, keysQuery, type NewApiKey } from "./keys";

const ROLES = [
  { value: "user", name: "Its owner's things" },
  { value: "admin", name: "Everything (admin)" },
] as const;
const LIVES = [
  { value: "30", name: "30 days" },
  { value: "90", name: "90 days" },
  { value: "365", name: "1 year" },
  { value: "", name: "Never" },
] as const;

export function NewKey({ onClose }: { onClose: () => void }) {
  const [owner, setOwner] = useState("");
  const [name, setName] = useState("");
  const [role, setRole] = useState<(typeof ROLES)[number]["value"]>("user");
  const [days, setDays] = useState<(typeof LIVES)[number]["value"]>("90");
  const client = useQueryClient();
  const creating = useMutation({
    mutationFn: createKey,
    onSettled: () => client.invalidateQueries(keysQuery),
  });

  const submit = (event: FormEvent) => {
    event.preventDefault();
    creating.mutate({
      owner: owner.trim(),
      admin: role === "admin",
      ...(name.trim() && { name: name.trim() }),
      ...(days && { expires_in_days: Number(days) }),
    });
  };

  if (creating.data) return <Made made={creating.data} onClose={onClose} />;
  return (
    <Dialog title="New API key" open onClose={onClose}>
      <form onSubmit={submit}>
        <TextField label="Owner" value={owner} onChange={setOwner} hint="Who owns what is made with the key." />
        <TextField label="What it is for" value={name} onChange={setName} />
        <Choice label="May see and do" value={role} options={ROLES} onChange={setRole} />
        <Choice label="Expires after" value={days} options={LIVES} onChange={setDays} />
        {creating.error && <Failed error={creating.error} />}
        <div className="actions">
          <Button onClick={onClose}>Go back</Button>
          <Button kind="primary" type="submit" disabled={!owner.trim() || creating.isPending}>
            Create key
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

/** The key itself, this once. */
function Made({ made, onClose }: { made: NewApiKey; onClose: () => void }) {
  return (
    <Dialog title={`Key ${made.key_id} of ${made.owner}`} open onClose={onClose}>
      <p>Copy the key now. It is not shown again.</p>
      <p>
        <code>{made.key}</code> <Copy text={made.key}>Copy the key</Copy>
      </p>
      <div className="actions">
        <Button kind="primary" onClick={onClose}>
          Done
        </Button>
      </div>
    </Dialog>
  );
}
