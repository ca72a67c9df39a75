import { useMutation, useQuery } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";

import { type Assistant, labelOf, schemasQuery } from "../../api/assistants";
import { sentenceOf } from "../../api/errors";
import { queryClient } from "../../api/queries";
import type { Json } from "../../api/types";
import { isComplete } from "../../schema/JsonArea";
import { Check } from "../../schema/SchemaForm";
import { ValueEditor } from "../../schema/ValueEditor";
import { Button } from "../../ui/Button";
import { Dialog } from "../../ui/Dialog";
import { Choice, TextField } from "../../ui/fields";
import { useNotices } from "../../ui/Notices";
import { Alert } from "../../ui/states";
import { useDeferred } from "../../ui/Typed";
import { createCron, cronsQuery } from "./crons";
import { Firings } from "./Firings";

interface Props {
  assistants: Assistant[];
  onClose: () => void;
}

export function NewCron({ assistants, onClose }: Props) {
  const { done } = useNotices();
  const [chosen, setChosen] = useState("");
  const assistant = chosen || (assistants[0]?.assistant_id ?? "");
  const schemas = useQuery({ ...schemasQuery(assistant), enabled: assistant !== "" }).data;
  const [schedule, setSchedule] = useState("");
  // What is typed now is half of a schedule.
  const soon = useDeferred(schedule.trim());
  const [timezone, setTimezone] = useState(Intl.DateTimeFormat().resolvedOptions().timeZone);
  const [thread, setThread] = useState("");
  const [keeps, setKeeps] = useState(true);
  const [input, setInput] = useState<Json | undefined>({});
  const make = useMutation({
    mutationFn: () =>
      createCron(thread, {
        assistant_id: assistant,
        schedule,
        timezone: timezone || null,
        input: input ?? null,
        ...(!thread && { on_run_completed: keeps ? "keep" : "delete" }),
      }),
    onSuccess: async () => {
      await queryClient.invalidateQueries(cronsQuery);
      done("Made.");
      onClose();
    },
  });
  const submit = (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    if (isComplete(event.currentTarget)) make.mutate();
  };
  return (
    <Dialog title="New cron" open onClose={onClose}>
      <form className="cron-form" onSubmit={submit}>
        <Choice
          label="Assistant"
          value={assistant}
          options={assistants.map((one) => ({ value: one.assistant_id, name: labelOf(one) }))}
          onChange={setChosen}
        />
        <TextField
          label="Schedule"
          value={schedule}
          onChange={setSchedule}
          placeholder="0 9 * * MON-FRI"
          hint="Minute, hour, day of month, month, day of week; or @hourly, @daily."
        />
        {soon !== "" && <Firings schedule={soon} timezone={timezone} label="It would fire" />}
        <TextField label="Time zone" value={timezone} onChange={setTimezone} hint="Empty: UTC." />
        <TextField label="Thread" value={thread} onChange={setThread} hint="Empty: each run has a new one." />
        {!thread && <Check label="Keep the threads of its runs" checked={keeps} onChange={setKeeps} />}
        <ValueEditor label="Input" schema={schemas?.input_schema ?? {}} value={input} onChange={setInput} />
        {make.error && <Alert>{sentenceOf(make.error)}</Alert>}
        <div className="actions">
          <Button type="submit" kind="primary" disabled={make.isPending || schedule === "" || assistant === ""}>
            Create
          </Button>
          <Button onClick={onClose}>Go back</Button>
        </div>
      </form>
    </Dialog>
  );
}
