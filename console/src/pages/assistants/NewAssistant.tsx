import { useMutation } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type Assistant, assistantsQuery } from "../../api/assistants";
import { call } from "../../api/client";
import { sentenceOf } from "../../api/errors";
import { queryClient } from "../../api/queries";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Choice, TextField } from "../../ui/fields";
import { Alert } from "../../ui/states";

interface Props {
  graphs: string[];
  onClose: () => void;
  onMade: (assistant: Assistant) => void;
}

/** Makes an assistant; its settings are edited afterwards. */
export function NewAssistant({ graphs, onClose, onMade }: Props) {
  const [graph, setGraph] = useState(graphs[0] ?? "");
  const [name, setName] = useState("");
  const make = useMutation({
    mutationFn: () => call<Assistant>("POST", "/assistants", { graph_id: graph, ...(name && { name }) }),
    onSuccess: async (assistant) => {
      await queryClient.invalidateQueries(assistantsQuery);
      onMade(assistant);
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    make.mutate();
  };
  return (
    <Dialog title="New assistant" open onClose={onClose}>
      <form className="assistant-form" onSubmit={submit}>
        <Choice label="Graph" value={graph} options={graphs.map((one) => ({ value: one, name: one }))} onChange={setGraph} />
        <TextField label="Name" value={name} onChange={setName} />
        {make.error && <Alert>{sentenceOf(make.error)}</Alert>}
        <div className="actions">
          <Button type="submit" kind="primary" disabled={make.isPending}>
            Create
          </Button>
          <Button onClick={onClose}>Go back</Button>
        </div>
      </form>
    </Dialog>
  );
}
