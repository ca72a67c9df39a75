import "./playground.css";

import { useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";

import { assistantsQuery, labelOf } from "../../api/assistants";
import { Choice } from "../../ui/fields";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { Session } from "./Session";

const route = getRouteApi("/playground");

/** Run a graph by hand, and watch its nodes. */
export function PlaygroundPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const { data, error, refetch } = useQuery(assistantsQuery);
  const chosen = data?.find(({ assistant_id, graph_id }) => search.assistant === assistant_id || search.assistant === graph_id);
  const assistant = chosen ?? (search.assistant ? undefined : data?.[0]);
  const options = data?.map((one) => ({ value: one.assistant_id, name: labelOf(one) })) ?? [];
  return (
    <Page title="Playground">
      {error && !data && <Failed error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading what="assistants" />}
      {data?.length === 0 && <Empty title="There is no graph yet." />}
      {data && data.length > 0 && (
        <div className="filters">
          <Choice
            label="Assistant"
            value={assistant?.assistant_id ?? ""}
            options={assistant ? options : [{ value: "", name: "Choose one" }, ...options]}
            onChange={(id) => void navigate({ search: id ? { assistant: id } : {} })}
          />
        </div>
      )}
      {data && search.assistant && !chosen && <Empty title="There is no such assistant." />}
      {assistant && (
        <Session
          key={assistant.assistant_id}
          assistant={assistant}
          threadId={search.thread}
          runId={search.run}
          onGoTo={(thread, run) =>
            void navigate({
              search: { assistant: assistant.assistant_id, ...(thread && { thread }), ...(run && { run }) },
              replace: true,
            })
          }
        />
      )}
    </Page>
  );
}
