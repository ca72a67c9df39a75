import { useQuery } from "@tanstack/react-query";
import { useEffect, useRef } from "react";

import { schemasQuery } from "../../api/assistants";
import { LazyGraph } from "../../graph/LazyGraph";
import { Button } from "../../ui/Button";
import { JsonView } from "../../ui/JsonView";
import { Failed, Loading } from "../../ui/states";
import { Tabs } from "../../ui/Tabs";

/** One graph: its drawing and its schemas. */
export function GraphPanel({ graph, onClose }: { graph: string; onClose: () => void }) {
  const panel = useRef<HTMLElement>(null);
  useEffect(() => {
    panel.current?.scrollIntoView({ block: "nearest" });
  }, []);
  return (
    <section className="card graph-panel" aria-label={`Graph ${graph}`} ref={panel}>
      <div className="page-head">
        <h2>{graph}</h2>
        <Button kind="quiet" onClick={onClose}>
          Close
        </Button>
      </div>
      <Tabs
        label="Graph"
        tabs={[
          { name: "Drawing", content: <LazyGraph assistant={graph} /> },
          { name: "Schemas", content: <Schemas graph={graph} /> },
        ]}
      />
    </section>
  );
}

const KINDS = [
  ["Input", "input_schema"],
  ["Output", "output_schema"],
  ["State", "state_schema"],
  ["Context", "context_schema"],
  ["Config", "config_schema"],
] as const;

function Schemas({ graph }: { graph: string }) {
  const { data, error, refetch } = useQuery(schemasQuery(graph));
  if (error) return <Failed error={error} retry={() => void refetch()} />;
  if (!data) return <Loading what="the schemas" />;
  const there = KINDS.flatMap(([name, key]) => {
    const schema = data[key];
    return schema && Object.keys(schema).length > 0 ? [{ name, content: <JsonView label={`${name} schema`} value={schema} /> }] : [];
  });
  return there.length > 0 ? <Tabs label="Schemas" tabs={there} /> : <p className="hint">The graph has no schemas.</p>;
}
