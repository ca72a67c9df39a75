import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type Assistant, assistantsQuery, schemasQuery } from "../../api/assistants";
import { call } from "../../api/client";
import { sentenceOf } from "../../api/errors";
import { queryClient } from "../../api/queries";
import type { Json } from "../../api/types";
import { isComplete, JsonArea } from "../../schema/JsonArea";
import { ValueEditor } from "../../schema/ValueEditor";
import { Button } from "../../ui/Button";
import { TextField } from "../../ui/fields";
import { useNotices } from "../../ui/Notices";
import { Alert } from "../../ui/states";

/** Changes an assistant: each change is a new version. */
export function AssistantForm({ assistant }: { assistant: Assistant }) {
  const { done } = useNotices();
  const schemas = useQuery(schemasQuery(assistant.assistant_id)).data;
  const [name, setName] = useState(assistant.name);
  const [description, setDescription] = useState(assistant.description ?? "");
  const [context, setContext] = useState<Json | undefined>(assistant.context);
  const [config, setConfig] = useState<Json | undefined>(assistant.config);
  const [metadata, setMetadata] = useState<Json | undefined>(assistant.metadata);

  const draft = { name, description: description || null, context: context ?? {}, config: config ?? {}, metadata: metadata ?? {} };
  const changed = Object.entries(draft).filter(([member, value]) => {
    const before = assistant[member as keyof typeof draft];
    return JSON.stringify(value) !== JSON.stringify(before);
  });
  const save = useMutation({
    mutationFn: () => call<Assistant>("PATCH", `/assistants/${assistant.assistant_id}`, Object.fromEntries(changed)),
    onSuccess: async ({ version }) => {
      await queryClient.invalidateQueries(assistantsQuery);
      done(`Saved as version ${version}.`);
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (isComplete(event.currentTarget)) save.mutate();
  };
  return (
    <form className="assistant-form" onSubmit={submit}>
      <TextField label="Name" value={name} onChange={setName} />
      <TextField label="Description" value={description} onChange={setDescription} />
      <ValueEditor label="Context" rows={5} schema={schemas?.context_schema ?? {}} value={context} onChange={setContext} />
      <JsonArea
        label="Config"
        rows={5}
        value={config}
        onChange={setConfig}
        hint="Context and config.configurable say the same thing: give one of them."
      />
      <JsonArea label="Metadata" rows={4} value={metadata} onChange={setMetadata} hint="Merged with what is there." />
      {save.error && <Alert>{sentenceOf(save.error)}</Alert>}
      <div className="actions">
        <Button type="submit" kind="primary" disabled={changed.length === 0 || save.isPending}>
          Save as a new version
        </Button>
      </div>
    </form>
  );
}
