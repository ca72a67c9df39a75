/** Every page of the console. A page is loaded when it is first opened. */
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect } from "@tanstack/react-router";

import { page } from "./api/prefix";
import { Layout } from "./layout/Layout";
import { NotFound } from "./layout/NotFound";
import { agentsSearch } from "./pages/agents/search";
import { assistantsSearch } from "./pages/assistants/search";
import { inboxSearch } from "./pages/inbox/search";
import { playgroundSearch } from "./pages/playground/search";
import { runsSearch } from "./pages/runs/search";
import { storeSearch } from "./pages/store/search";
import { Crash } from "./ui/Crash";
import { Loading } from "./ui/states";

const root = createRootRoute({ component: Layout, notFoundComponent: NotFound });
const getParentRoute = () => root;

/** The members of an address that are these texts; the rest is dropped. */
function texts<Search extends Record<string, string | undefined>>(...names: (keyof Search & string)[]) {
  return (raw: Record<string, unknown>) =>
    Object.fromEntries(
      names.flatMap((name) => (typeof raw[name] === "string" && raw[name] ? [[name, raw[name]]] : [])),
    ) as Search;
}

const home = createRoute({
  getParentRoute,
  path: "/",
  beforeLoad: () => {
    throw redirect({ to: "/runs", search: {}, replace: true });
  },
});

const runs = createRoute({
  getParentRoute,
  path: "/runs",
  validateSearch: runsSearch,
  component: lazyRouteComponent(() => import("./pages/runs/RunsPage"), "RunsPage"),
});

const run = createRoute({
  getParentRoute,
  path: "/runs/$threadId/$runId",
  validateSearch: texts<{ tab?: string; step?: string }>("tab", "step"),
  component: lazyRouteComponent(() => import("./pages/run/RunPage"), "RunPage"),
});

/** Where runs stood before, and where the API has them. */
const runOfThread = createRoute({
  getParentRoute,
  path: "/threads/$threadId/runs/$runId",
  validateSearch: texts<{ tab?: string; step?: string }>("tab", "step"),
  beforeLoad: ({ params, search }) => {
    throw redirect({ to: "/runs/$threadId/$runId", params, search, replace: true });
  },
});

const threads = createRoute({
  getParentRoute,
  path: "/threads",
  validateSearch: texts<{ status?: string; metadata?: string }>("status", "metadata"),
  component: lazyRouteComponent(() => import("./pages/threads/ThreadsPage"), "ThreadsPage"),
});

const thread = createRoute({
  getParentRoute,
  path: "/threads/$threadId",
  validateSearch: texts<{ tab?: string; at?: string }>("tab", "at"),
  component: lazyRouteComponent(() => import("./pages/thread/ThreadPage"), "ThreadPage"),
});

const inbox = createRoute({
  getParentRoute,
  path: "/inbox",
  validateSearch: inboxSearch,
  component: lazyRouteComponent(() => import("./pages/inbox/InboxPage"), "InboxPage"),
});

const agents = createRoute({
  getParentRoute,
  path: "/agents",
  validateSearch: agentsSearch,
  component: lazyRouteComponent(() => import("./pages/agents/AgentsPage"), "AgentsPage"),
});

const playground = createRoute({
  getParentRoute,
  path: "/playground",
  validateSearch: playgroundSearch,
  component: lazyRouteComponent(() => import("./pages/playground/PlaygroundPage"), "PlaygroundPage"),
});

const assistants = createRoute({
  getParentRoute,
  path: "/assistants",
  validateSearch: assistantsSearch,
  component: lazyRouteComponent(() => import("./pages/assistants/AssistantsPage"), "AssistantsPage"),
});

const crons = createRoute({
  getParentRoute,
  path: "/crons",
  component: lazyRouteComponent(() => import("./pages/crons/CronsPage"), "CronsPage"),
});

const store = createRoute({
  getParentRoute,
  path: "/store",
  validateSearch: storeSearch,
  component: lazyRouteComponent(() => import("./pages/store/StorePage"), "StorePage"),
});

const keys = createRoute({
  getParentRoute,
  path: "/keys",
  component: lazyRouteComponent(() => import("./pages/keys/KeysPage"), "KeysPage"),
});

const status = createRoute({
  getParentRoute,
  path: "/status",
  component: lazyRouteComponent(() => import("./pages/status/StatusPage"), "StatusPage"),
});

export const router = createRouter({
  routeTree: root.addChildren([
    home,
    runs,
    run,
    runOfThread,
    threads,
    thread,
    inbox,
    agents,
    playground,
    assistants,
    crons,
    store,
    keys,
    status,
  ]),
  basepath: page,
  defaultPreload: "intent",
  defaultPendingComponent: Loading,
  defaultErrorComponent: Crash,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
