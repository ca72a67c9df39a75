import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { Button } from "../../ui/Button";
import { Confirm } from "../../ui/Confirm";
import { useNotices } from "../../ui/Notices";
import { Time, useNow } from "../../ui/Time";
import { type ApiKey, keysQuery, revokeKey, stateOf } from "./keys";

const TICK_MS = 10_000;

export function KeysTable({ keys }: { keys: ApiKey[] }) {
  const [chosen, setChosen] = useState<ApiKey>();
  const now = useNow(TICK_MS);
  const client = useQueryClient();
  const { done, failed } = useNotices();
  const revoking = useMutation({
    mutationFn: revokeKey,
    onSuccess: (key) => done(`Key ${key.key_id} is revoked.`),
    onError: failed,
    onSettled: () => client.invalidateQueries(keysQuery),
  });
  return (
    <div className="table-frame">
      <table>
        <thead>
          <tr>
            <th scope="col">Key</th>
            <th scope="col">State</th>
            <th scope="col">Owner</th>
            <th scope="col">For</th>
            <th scope="col">Made</th>
            <th scope="col">Last used</th>
            <th scope="col">Expires</th>
            <th scope="col">
              <span className="hidden">Revoke</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {keys.map((key) => (
            <tr key={key.key_id}>
              <td>
                <code>{key.key_id}</code>
              </td>
              <td>{stateOf(key, now)}</td>
              <td>
                {key.owner}
                {key.admin && " (admin)"}
              </td>
              <td>{key.name ?? "–"}</td>
              <td>
                <Time at={key.created_at} />
              </td>
              <td>{key.last_used_at === null ? "never" : <Time at={key.last_used_at} />}</td>
              <td>{key.expires_at === null ? "never" : <Time at={key.expires_at} />}</td>
              <td>
                {key.revoked_at === null && (
                  <Button kind="quiet" aria-label={`Revoke key ${key.key_id}`} onClick={() => setChosen(key)}>
                    Revoke
                  </Button>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
      <Confirm
        title={`Revoke key ${chosen?.key_id ?? ""}?`}
        open={chosen !== undefined}
        does="Revoke"
        onConfirm={() => chosen && revoking.mutate(chosen.key_id)}
        onClose={() => setChosen(undefined)}
      >
        <p>Whoever uses it is refused within 5 seconds. It cannot be made valid again.</p>
      </Confirm>
    </div>
  );
}
