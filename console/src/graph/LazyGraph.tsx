import { useQuery } from "@tanstack/react-query";
import { lazy, Suspense, useState } from "react";

import { Check } from "../schema/SchemaForm";
import { Failed, Loading } from "../ui/states";
import { graphQuery, type NodeState } from "./graph";

const GraphDrawing = lazy(() => import("./GraphDrawing"));

interface Props {
  assistant: string;
  states?: ReadonlyMap<string, NodeState>;
}

/** The drawing of an assistant's graph, whose subgraphs open. */
export function LazyGraph({ assistant, states }: Props) {
  const [open, setOpen] = useState(true);
  const { data, error, refetch } = useQuery(graphQuery(assistant, open));
  return (
    <div className="graph-frame-outer">
      {error && <Failed error={error} retry={() => void refetch()} />}
      {!data && !error && <Loading what="the graph" />}
      {data && (
        <Suspense fallback={<Loading what="the drawing" />}>
          <GraphDrawing key={String(open)} label={`Graph of ${assistant}`} graph={data} {...(states && { states })} />
        </Suspense>
      )}
      <Check label="Subgraphs open" checked={open} onChange={setOpen} />
    </div>
  );
}
