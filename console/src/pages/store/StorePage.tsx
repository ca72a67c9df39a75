import "./store.css";

import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { getRouteApi } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";

import { Button } from "../../ui/Button";
import { Choice, TextField } from "../../ui/fields";
import { Empty, Page } from "../../ui/Page";
import { Failed, Loading } from "../../ui/states";
import { Time } from "../../ui/Time";
import { ItemDialog } from "./ItemDialog";
import { type Item, joined, listNamespaces, searchItems } from "./items";

const route = getRouteApi("/store");
const STEP = 50;

/** What agents remember beyond a thread. */
export function StorePage() {
  const { namespace = "", query = "" } = route.useSearch();
  const navigate = route.useNavigate();
  const [limit, setLimit] = useState(STEP);
  const [draft, setDraft] = useState(query);
  const [opened, setOpened] = useState<Item | "new" | null>(null);
  const namespaces = useQuery({ queryKey: ["store", "namespaces"], queryFn: ({ signal }) => listNamespaces(signal) });
  const { data, error, isFetching, refetch } = useQuery({
    queryKey: ["store", "items", namespace, query, limit],
    queryFn: ({ signal }) => searchItems(namespace, query, limit, signal),
    placeholderData: keepPreviousData,
  });
  const known = prefixes(namespaces.data ?? [], namespace);
  const go = (next: { namespace: string; query: string }) =>
    void navigate({
      search: { ...(next.namespace && { namespace: next.namespace }), ...(next.query && { query: next.query }) },
    });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    go({ namespace, query: draft });
  };
  const scored = data?.some(({ score }) => typeof score === "number") ?? false;
  return (
    <Page
      title="Store"
      beside={
        <Button kind="primary" onClick={() => setOpened("new")}>
          New item
        </Button>
      }
    >
      <form className="filters" role="search" onSubmit={submit}>
        <Choice
          label="Below the namespace"
          value={namespace}
          options={[{ value: "", name: "All" }, ...known.map((one) => ({ value: one, name: one }))]}
          onChange={(next) => go({ namespace: next, query })}
        />
        <TextField type="search" label="About" value={draft} onChange={setDraft} placeholder="What to look for" />
        <Button type="submit">Search</Button>
      </form>
      {query && data && !scored && data.length > 0 && (
        <p className="hint">The store has no vectors: it cannot look for a meaning. See store.index of langgraph.json.</p>
      )}
      {error && <Failed error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading what="items" />}
      {data?.length === 0 && (
        <Empty title={namespace || query ? "Nothing fits." : "Nothing is remembered yet."}>
          <p>Nodes put items here with LangGraph's store.</p>
        </Empty>
      )}
      {data && data.length > 0 && (
        <div className="table-frame" aria-busy={isFetching}>
          <table className="store">
            <thead>
              <tr>
                <th scope="col">Namespace</th>
                <th scope="col">Key</th>
                {scored && (
                  <th scope="col" className="number">
                    Score
                  </th>
                )}
                <th scope="col">Value</th>
                <th scope="col">Changed</th>
              </tr>
            </thead>
            <tbody>
              {data.map((item) => (
                <tr key={`${joined(item.namespace)} ${item.key}`}>
                  <td>{joined(item.namespace)}</td>
                  <th scope="row">
                    <Button kind="quiet" onClick={() => setOpened(item)}>
                      {item.key}
                    </Button>
                  </th>
                  {scored && <td className="number">{item.score?.toFixed(3)}</td>}
                  <td className="store-value">{JSON.stringify(item.value)}</td>
                  <td>
                    <Time at={item.updatedAt} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {data?.length === limit && (
        <div className="actions">
          <Button disabled={isFetching} onClick={() => setLimit(limit + STEP)}>
            More items
          </Button>
        </div>
      )}
      {opened && <ItemDialog item={opened === "new" ? null : opened} below={namespace} onClose={() => setOpened(null)} />}
    </Page>
  );
}

/** Namespaces and all that they are below of. */
function prefixes(namespaces: string[][], chosen: string): string[] {
  const all = namespaces.flatMap((namespace) => namespace.map((_, index) => joined(namespace.slice(0, index + 1))));
  return [...new Set(chosen ? [...all, chosen] : all)].sort();
}
