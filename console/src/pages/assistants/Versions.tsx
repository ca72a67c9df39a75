import { useMutation, useQuery } from "@tanstack/react-query";

import { type Assistant, assistantsQuery } from "../../api/assistants";
import { call } from "../../api/client";
import { queryClient } from "../../api/queries";
import { Button } from "../../ui/Button";
import { Details } from "../../ui/Details";
import { JsonView } from "../../ui/JsonView";
import { useNotices } from "../../ui/Notices";
import { Failed, Loading } from "../../ui/states";
import { Time } from "../../ui/Time";

const MOST = 100;

type Version = Omit<Assistant, "updated_at">;

/** What an assistant was, newest first, and the way back. */
export function Versions({ assistant }: { assistant: Assistant }) {
  const { done, failed } = useNotices();
  const path = `/assistants/${assistant.assistant_id}`;
  const { data, error, refetch } = useQuery({
    queryKey: ["assistants", assistant.assistant_id, "versions", assistant.updated_at],
    queryFn: ({ signal }) => call<Version[]>("POST", `${path}/versions`, { limit: MOST }, signal),
  });
  const use = useMutation({
    mutationFn: (version: number) => call<Assistant>("POST", `${path}/latest`, { version }),
    onSuccess: async ({ version }) => {
      await queryClient.invalidateQueries(assistantsQuery);
      done(`Version ${version} is used now.`);
    },
    onError: failed,
  });
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="the versions" />;
  return (
    <ol className="versions" aria-label="Versions, newest first">
      {data.map(({ version, created_at, name, description, graph_id, context, config, metadata }) => (
        <li key={version}>
          <div className="actions">
            <strong>Version {version}</strong>
            <Time at={created_at} />
            {version === assistant.version ? (
              <span className="state state-success">used now</span>
            ) : (
              <Button disabled={use.isPending} onClick={() => use.mutate(version)}>
                Use version {version}
              </Button>
            )}
          </div>
          <Details summary={name}>
            <JsonView
              label={`Version ${version}`}
              value={{ name, description, graph_id, context, config, metadata }}
            />
          </Details>
        </li>
      ))}
    </ol>
  );
}
