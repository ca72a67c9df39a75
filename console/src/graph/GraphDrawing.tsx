import "@xyflow/react/dist/base.css";
import "./graph.css";

import {
  Background,
  Controls,
  type Edge,
  Handle,
  MarkerType,
  type Node,
  type NodeProps,
  Position,
  ReactFlow,
} from "@xyflow/react";
import { useMemo } from "react";

import type { Graph, NodeState } from "./graph";
import { layOut } from "./layout";

interface Props {
  label: string;
  graph: Graph;
  /** Of the nodes that a run has come to, by their ids. */
  states?: ReadonlyMap<string, NodeState>;
}

type Step = Node<{ name: string; state: NodeState | undefined; is: string }, "step">;
type Frame = Node<{ name: string; state: NodeState | undefined }, "frame">;

const KINDS = { step: StepNode, frame: FrameNode };
const NONE: ReadonlyMap<string, NodeState> = new Map();

/** A graph as a picture that can be moved and zoomed. Loaded late: it is large. */
export default function GraphDrawing({ label, graph, states = NONE }: Props) {
  const drawing = useMemo(() => layOut(graph), [graph]);
  const nodes = useMemo(() => {
    const frames = drawing.groups.map(
      ({ id, name, x, y, width, height }): Frame => ({
        id: `frame ${id}`,
        type: "frame",
        position: { x, y },
        width,
        height,
        data: { name, state: states.get(id) },
        zIndex: -1,
      }),
    );
    const steps = drawing.nodes.map(
      ({ id, name, x, y, width, height }): Step => ({
        id,
        type: "step",
        position: { x, y },
        width,
        height,
        data: { name, state: states.get(id), is: id },
      }),
    );
    return [...frames, ...steps];
  }, [drawing, states]);
  const edges = useMemo(
    () =>
      graph.edges.map(
        ({ source, target, conditional, data }, index): Edge => ({
          id: String(index),
          source,
          target,
          ...(data && { label: data }),
          className: conditional ? "conditional" : "",
          markerEnd: { type: MarkerType.ArrowClosed },
          focusable: false,
        }),
      ),
    [graph],
  );
  return (
    <div className="graph" role="group" aria-label={label}>
      <ReactFlow
        nodes={nodes}
        edges={edges}
        nodeTypes={KINDS}
        fitView
        fitViewOptions={{ maxZoom: 1.1 }}
        minZoom={0.2}
        nodesDraggable={false}
        nodesConnectable={false}
        nodesFocusable={false}
        edgesFocusable={false}
        elementsSelectable={false}
        preventScrolling={false}
        zoomOnScroll={false}
      >
        <Background />
        <Controls showInteractive={false} />
      </ReactFlow>
    </div>
  );
}

function StepNode({ data }: NodeProps<Step>) {
  return (
    <div className="graph-step" data-node={data.is} data-state={data.state}>
      <Handle type="target" position={Position.Top} isConnectable={false} />
      {data.name}
      {data.state && <span className="hidden">: {data.state}</span>}
      <Handle type="source" position={Position.Bottom} isConnectable={false} />
    </div>
  );
}

function FrameNode({ data }: NodeProps<Frame>) {
  return (
    <div className="graph-frame" data-state={data.state}>
      {data.name}
    </div>
  );
}
