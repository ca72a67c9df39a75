import "./assistants.css";

import { useQuery } from "@tanstack/react-query";
import { getRouteApi, Link } from "@tanstack/react-router";
import { useState } from "react";

import { assistantsQuery, isDefault } from "../../api/assistants";
import { Button } from "../../ui/Button";
import { Choice } from "../../ui/fields";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { Time } from "../../ui/Time";
import { AssistantPanel } from "./AssistantPanel";
import { NewAssistant } from "./NewAssistant";

const route = getRouteApi("/assistants");

/** Graphs with settings of their own. */
export function AssistantsPage() {
  const search = route.useSearch();
  const navigate = route.useNavigate();
  const [isNew, setIsNew] = useState(false);
  const { data, error, refetch } = useQuery(assistantsQuery);
  const graphs = [...new Set(data?.map(({ graph_id }) => graph_id))];
  const shown = data?.filter(({ graph_id }) => !search.graph || graph_id === search.graph);
  const opened = data?.find(({ assistant_id }) => assistant_id === search.assistant);
  return (
    <Page
      title="Assistants"
      beside={
        graphs.length > 0 && (
          <Button kind="primary" onClick={() => setIsNew(true)}>
            New assistant
          </Button>
        )
      }
    >
      {error && !data && <Failed error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading what="assistants" />}
      {data?.length === 0 && <Empty title="There is no graph yet." />}
      {shown && data && data.length > 0 && (
        <>
          <div className="filters">
            <Choice
              label="Graph"
              value={search.graph ?? ""}
              options={[{ value: "", name: "All" }, ...graphs.map((graph) => ({ value: graph, name: graph }))]}
              onChange={(graph) => void navigate({ search: graph ? { graph } : {} })}
            />
          </div>
          <div className="table-frame">
            <table>
              <thead>
                <tr>
                  <th scope="col">Assistant</th>
                  <th scope="col">Graph</th>
                  <th scope="col" className="number">
                    Version
                  </th>
                  <th scope="col">Description</th>
                  <th scope="col">Changed</th>
                </tr>
              </thead>
              <tbody>
                {shown.map((assistant) => (
                  <tr key={assistant.assistant_id} data-open={assistant === opened || undefined}>
                    <th scope="row">
                      <Link
                        to="/assistants"
                        search={{ ...search, assistant: assistant.assistant_id }}
                        resetScroll={false}
                      >
                        {assistant.name}
                      </Link>
                      {isDefault(assistant) && <small> default</small>}
                    </th>
                    <td>{assistant.graph_id}</td>
                    <td className="number">{assistant.version}</td>
                    <td>{assistant.description}</td>
                    <td>
                      <Time at={assistant.updated_at} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        </>
      )}
      {data && search.assistant && !opened && <Empty title="There is no such assistant." />}
      {opened && (
        <AssistantPanel
          key={opened.assistant_id}
          assistant={opened}
          onClose={() => void navigate({ search: search.graph ? { graph: search.graph } : {}, resetScroll: false })}
        />
      )}
      {isNew && (
        <NewAssistant
          graphs={graphs}
          onClose={() => setIsNew(false)}
          onMade={({ assistant_id }) => {
            setIsNew(false);
            void navigate({ search: { assistant: assistant_id } });
          }}
        />
      )}
    </Page>
  );
}
