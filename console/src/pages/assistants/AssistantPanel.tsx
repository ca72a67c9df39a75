import { useMutation } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { useState } from "react";

import { type Assistant, assistantsQuery, isDefault } from "../../api/assistants";
import { call } from "../../api/client";
import { queryClient } from "../../api/queries";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useNotices } from "../../ui/Notices";
import { ShortId } from "../../ui/ShortId";
import { Tabs } from "../../ui/Tabs";
import { AssistantForm } from "./AssistantForm";
import { Versions } from "./Versions";

/** One assistant: its settings, and what they were before. */
export function AssistantPanel({ assistant, onClose }: { assistant: Assistant; onClose: () => void }) {
  const { done, failed } = useNotices();
  const [asking, setAsking] = useState(false);
  const remove = useMutation({
    mutationFn: () => call<void>("DELETE", `/assistants/${assistant.assistant_id}`),
    onSuccess: async () => {
      done("Deleted.");
      onClose();
      await queryClient.invalidateQueries(assistantsQuery);
    },
    onError: failed,
  });
  return (
    <section className="card assistant" aria-label={`Assistant ${assistant.name}`}>
      <div className="page-head">
        <h2>{assistant.name}</h2>
        <ShortId id={assistant.assistant_id} />
        <div className="actions">
          <Link to="/playground" search={{ assistant: assistant.assistant_id }}>
            Try it
          </Link>
          <Link to="/runs" search={{ assistant: assistant.assistant_id }}>
            Its runs
          </Link>
          {!isDefault(assistant) && (
            <Button kind="danger" onClick={() => setAsking(true)}>
              Delete
            </Button>
          )}
          <Button kind="quiet" onClick={onClose}>
            Close
          </Button>
        </div>
      </div>
      <Confirm
        title={`Delete ${assistant.name}?`}
        open={asking}
        does="Delete it"
        onConfirm={() => remove.mutate()}
        onClose={() => setAsking(false)}
      >
        Its versions are forgotten. Runs that were accepted with it go on.
      </Confirm>
      <Tabs
        label="Assistant"
        tabs={[
          { name: "Settings", content: <AssistantForm key={assistant.updated_at} assistant={assistant} /> },
          { name: "Versions", content: <Versions assistant={assistant} /> },
        ]}
      />
    </section>
  );
}
