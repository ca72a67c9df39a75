import dagre from "@dagrejs/dagre";

import type { Graph } from "./graph";

export interface Box {
  id: string;
  name: string;
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface Drawing {
  nodes: Box[];
  /** Subgraphs, outer ones first, as frames around their nodes. */
  groups: Box[];
}

const HEIGHT = 38;
const LETTER = 8.2;
const AROUND = 36;

/** Where everything goes: from top to bottom. All in pixels. */
export function layOut(graph: Graph): Drawing {
  const plan = new dagre.graphlib.Graph({ compound: true, multigraph: true });
  plan.setGraph({ rankdir: "TB", nodesep: 36, ranksep: 46, marginx: 12, marginy: 12 });
  plan.setDefaultEdgeLabel(() => ({}));
  const groups = new Set<string>();
  for (const { id } of graph.nodes) {
    plan.setNode(id, { width: Math.max(80, nameOf(id).length * LETTER + AROUND), height: HEIGHT });
    const path = id.split(":");
    for (let depth = path.length - 1, child = id; depth > 0; depth--) {
      const group = path.slice(0, depth).join(":");
      if (!plan.hasNode(group)) plan.setNode(group, {});
      groups.add(group);
      plan.setParent(child, group);
      child = group;
    }
  }
  graph.edges.forEach(({ source, target }, index) => {
    if (plan.hasNode(source) && plan.hasNode(target)) plan.setEdge(source, target, {}, String(index));
  });
  dagre.layout(plan);
  const boxOf = (id: string): Box => {
    const { x, y, width, height } = plan.node(id);
    return { id, name: nameOf(id), x: x - width / 2, y: y - height / 2, width, height };
  };
  return {
    nodes: graph.nodes.map(({ id }) => boxOf(id)),
    groups: [...groups].sort((one, other) => one.split(":").length - other.split(":").length).map(boxOf),
  };
}

export function nameOf(id: string): string {
  if (id === "__start__") return "start";
  if (id === "__end__") return "end";
  return id.split(":").at(-1) ?? id;
}
