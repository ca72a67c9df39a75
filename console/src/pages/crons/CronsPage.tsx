import "./crons.css";

import { useMutation, useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";

import { assistantsQuery, labelOf } from "../../api/assistants";
import { queryClient } from "../../api/queries";
import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useNotices } from "../../ui/Notices";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading, Reconnecting } from "../../ui/states";
import { CronRow } from "./CronRow";
import { type Cron, changeCron, cronsQuery, deleteCron, fireNow } from "./crons";
import { NewCron } from "./NewCron";

/** Runs that start by the clock. */
export function CronsPage() {
  const { done, failed } = useNotices();
  const navigate = useNavigate();
  const { data, error, refetch } = useQuery(cronsQuery);
  const assistants = useQuery(assistantsQuery).data;
  const [isNew, setIsNew] = useState(false);
  const [deleting, setDeleting] = useState<Cron | null>(null);
  const act = useMutation({
    mutationFn: ({ what }: { what: () => Promise<unknown>; said: string }) => what(),
    onSuccess: async (_, { said }) => {
      await queryClient.invalidateQueries(cronsQuery);
      done(said);
    },
    onError: failed,
  });
  const fire = useMutation({
    mutationFn: fireNow,
    onSuccess: ({ thread_id, run_id }) =>
      navigate({ to: "/runs/$threadId/$runId", params: { threadId: thread_id, runId: run_id } }),
    onError: failed,
  });
  const nameOf = (id: string) => {
    const assistant = assistants?.find(({ assistant_id }) => assistant_id === id);
    return assistant ? labelOf(assistant) : id;
  };
  return (
    <Page
      title="Crons"
      beside={
        <Button kind="primary" onClick={() => setIsNew(true)}>
          New cron
        </Button>
      }
    >
      <Reconnecting shown={error !== null && data !== undefined} />
      {error && !data && <Failed error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading what="crons" />}
      {data?.length === 0 && (
        <Empty title="No crons yet.">
          <p>A cron starts a run each time that its schedule says so.</p>
        </Empty>
      )}
      {data && data.length > 0 && (
        <div className="table-frame">
          <table>
            <thead>
              <tr>
                <th scope="col">Schedule</th>
                <th scope="col">Starts</th>
                <th scope="col">On</th>
                <th scope="col">Next</th>
                <th scope="col">Last</th>
                <th scope="col">
                  <span className="hidden">What to do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {data.map((cron) => (
                <CronRow
                  key={cron.cron_id}
                  cron={cron}
                  assistant={nameOf(cron.assistant_id)}
                  busy={act.isPending || fire.isPending}
                  onSwitch={() =>
                    act.mutate({
                      what: () => changeCron(cron, { enabled: !cron.enabled }),
                      said: cron.enabled ? "Paused." : "It goes on.",
                    })
                  }
                  onFire={() => fire.mutate(cron)}
                  onDelete={() => setDeleting(cron)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <Confirm
        title="Delete this cron?"
        open={deleting !== null}
        does="Delete it"
        onConfirm={() => deleting && act.mutate({ what: () => deleteCron(deleting), said: "Deleted." })}
        onClose={() => setDeleting(null)}
      >
        The runs that it has started go on.
      </Confirm>
      {isNew && <NewCron assistants={assistants ?? []} onClose={() => setIsNew(false)} />}
    </Page>
  );
}
