"""What parameters and members of bodies mean: one sentence for each name, and another where a model means another."""

from collections.abc import Mapping

from relayrun_api.http import examples as things

#: In Markdown.
ABOUT = """\
Runs LangGraph agents so that a run, once accepted, is finished, whatever crashes. LangGraph's SDKs, `useStream` and
`RemoteGraph` work unchanged; `/chat`, `/invoke` and `/run-task` need no SDK.

- **Who you are**: where the installation asks, send `Authorization: Bearer` with a JWT or an API key, or an API key as
  `X-Api-Key`. What is somebody else's does not exist for you: 404.
- **Streams** are server-sent events. Each has an `id`: after a lost connection send the last one as `Last-Event-ID`, at
  the path in the answer's `Location`. A comment every 5 seconds says that the stream lives.
- **Starting once**: with an `Idempotency-Key` a request that is tried again starts one run within 24 hours.
- **Refusals** are problem details (RFC 9457): `detail` says what to do, `code` is for programs.
- **Bounds**: bodies of 10 MB, JSON nested 200 deep, names of 256 characters.
- **WebSocket**: `/threads/{thread_id}/stream/events` is one too, for the event protocol.
"""

#: In the order of /docs.
TAGS: Mapping[str, str] = {
    "chat": "Messages in, answers out, for frontends without an SDK.",
    "threads": "Conversations. A path takes a thread's UUID, or your own name for it.",
    "thread state": "A thread's values at each of its checkpoints, to read, edit and go on from.",
    "runs": "Executions of a graph on a thread, one after the other. What is accepted is finished, whatever crashes.",
    "stateless runs": "Runs without a thread of yours, and several at once.",
    "crons": "Runs that start by the clock.",
    "assistants": "Graphs with configuration, in versions. A path takes a graph's name too, for its own assistant.",
    "agents": "Who executes runs, and which graphs they offer.",
    "keys": "API keys, made, listed and revoked by admins.",
    "store": "What agents remember beyond a thread.",
    "event protocol": "Commands and events of LangGraph's newest clients, over HTTP and on a WebSocket.",
    "a2a": "Agents that call agents, by the A2A protocol: an agent's card, and the address at which it is called.",
    "mcp": "Assistants as tools, by the Model Context Protocol.",
    "system": "For operators and probes. These need no token.",
}

_OFFSET = "How many items to skip"
_SELECT = "Return only these members"

#: Of parameters in paths, queries and headers, by name.
PARAMETERS: Mapping[str, str] = {
    "run_id": "The run's id",
    "key_id": "The id of the key: its first characters after `relayrun_`",
    "assistant_id": "The id of an assistant, or the name of a graph for its default assistant",
    "checkpoint_id": "A checkpoint's id, from the thread's history",
    "limit": "The most items to return",
    "offset": _OFFSET,
    "status": "Only runs in this state",
    "select": f"{_SELECT}; repeat it for several",
    "times": "Say before each event, in a comment, when it was written",
    "cancel_on_disconnect": "Cancel the run when this connection ends",
    "stream_mode": "Only events of these modes. Repeat it for several. Default: all that the run streams",
    "Last-Event-ID": "The `id` of the last event that you received. The stream continues after it. `-`: the beginning",
    "last_event_id": "The same as the header `Last-Event-ID`, for clients that cannot send it",
    "wait": "Whether to wait until the run has ended",
    "action": "`interrupt` keeps completed steps, `rollback` undoes the run",
    "before": "Only items older than this: the id of a message or a checkpoint",
    "prefer": "`return=minimal`: answer 204 without content",
    "subgraphs": "Whether to include the states of subgraphs that wait",
    "channels": "values, updates, messages, lifecycle, …; repeat it, or write commas between",
    "depth": "How many levels below the namespaces to include. Default: all",
    "since": "The `seq` of the last event that you received",
    "delete_threads": "Whether to delete also the threads whose last run used it. Their runs are cancelled",
    "recurse": "Whether to include subgraphs of subgraphs",
    "namespace": "A namespace: its labels with dots between, of a subgraph with `|`",
    "key": "The item's key",
    "refresh_ttl": "Whether reading restarts the item's time to live. Default: the agent's setting",
    "agent": "Whose runner to ask, where there are several agents",
    "agent_name": "The Agent's name",
}

#: Prefilled in /docs: of what stands in a path or has to be sent.
PARAMETER_EXAMPLES: Mapping[str, str | list[str]] = {
    "thread_id": things.NAME,
    "run_id": things.RUN,
    "assistant_id": "agent",
    "checkpoint_id": things.CHECKPOINT,
    "cron_id": things.CRON,
    "key_id": things.KEY,
    "agent_name": "support",
    "namespace": "lookup",
    "query.namespace": ["users.ann"],
    "key": "address",
    "channels": ["values", "messages", "lifecycle"],
}

#: Of members of bodies, by name.
MEMBERS: Mapping[str, str] = {
    "after_seconds": "Start the run this many seconds later, at most 30 days",
    "as_node": "The node that returned the values, as far as the graph is concerned",
    "assistant_id": "The id of an assistant, or the name of a graph",
    "before": "Only checkpoints before this one: its id, or `{configurable: {checkpoint_id}}`",
    "channels": "values, updates, messages, tools, lifecycle, input, custom, `custom:<name>`, …",
    "checkpoint": "A checkpoint, as a state contains it. Default: the newest",
    "checkpoint_during": "Deprecated: `false` means `durability: exit`",
    "checkpoint_id": "The id of the checkpoint to continue from. Default: the newest",
    "command": "Instead of `input`: answers a question, changes the state, or goes to a node",
    "config": "LangGraph's config: tags, metadata, configurable, recursion_limit, …",
    "configurable": "What nodes find in their config",
    "context": "The runtime context for nodes, as the graph's context schema defines it",
    "depth": "How many levels below the namespaces to include. Default: all",
    "description": "What it is for",
    "durability": "When steps are saved: before the next one (`sync`), during it (`async`), or at the end (`exit`)",
    "enabled": "Whether the cron fires",
    "end_time": "When the cron stops firing. UTC, if it has no offset",
    "extract": "Parts of each thread to return as `extracted`: a path for each name",
    "filter": "Only items with these values: `{field: value}`, `{field: {$gt: 3}}`. $eq, $ne, $gt, $gte, $lt, $lte",
    "goto": "The node to go to",
    "graph_id": "A graph's name",
    "id": "A number that you choose. It is in the answer",
    "ids": "Only these threads, by id or name",
    "if_exists": "What to do if it exists: refuse (`raise`, 409), or return the existing one",
    "if_not_exists": "What to do if the thread does not exist: refuse (404), or create it",
    "index": "The members to search by meaning. `false`: none. Default: the agent's setting",
    "input": "The graph's input. null continues from the thread's checkpoint",
    "interrupt_after": "Pause after these nodes. `*`: after every node",
    "interrupt_before": "Pause before these nodes. `*`: before every node",
    "key": "The item's name in its namespace",
    "limit": "The most items to return",
    "max_concurrency": "At most how many nodes to run at once",
    "max_depth": "Cut the namespaces after this many labels",
    "message": "What the user says, at most 10,000 characters",
    "metadata": "Your own keys and values",
    "method": "What to do",
    "multitask_strategy": "What to do if the thread is busy: wait, refuse (409), or cancel the other run",
    "name": "A name, for people",
    "namespace": "The labels, from general to specific, such as `[users, ann]`",
    "namespace_prefix": "Only items below this namespace",
    "namespaces": "Only events of these subgraphs and those below. Default: all",
    "offset": _OFFSET,
    "on_completion": "For a stateless run: whether to delete its thread later, or keep it",
    "on_disconnect": "What to do with the run when the client disconnects",
    "on_run_completed": "Whether to delete the thread of each run later, or keep it",
    "params": "The parameters of the method",
    "prefix": "The first labels; `*` stands for any one",
    "query": "The text to search for by meaning, if the agent has a vector index",
    "recursion_limit": "At most how many steps an attempt may take",
    "refresh_ttl": "Whether reading restarts the items' time to live. Default: the agent's setting",
    "resume": "The answer to the thread's question: any JSON, or `{interrupt_id: value}`",
    "run_ids": "Runs of the thread `thread_id`",
    "schedule": "A cron expression: minute, hour, day, month, weekday",
    "select": _SELECT,
    "since": "The `seq` of the last event that you received",
    "sort_by": "The member to sort by",
    "sort_order": "The sort order",
    "status": "Only items with this status",
    "strategy": "`delete`: the threads with everything they have. `keep_latest`: all checkpoints except the newest",
    "stream_mode": "The stream mode, or several",
    "stream_subgraphs": "Whether to stream the events of subgraphs too",
    "subgraphs": "Whether to include the states of subgraphs that wait",
    "suffix": "The last labels; `*` stands for any one",
    "supersteps": "The steps that create its first state, in order",
    "tags": "Words for traces",
    "thread_id": "The thread's UUID, or a name that you chose",
    "thread_ids": "Threads, by id or name",
    "timezone": "An IANA name, such as Europe/Berlin. Default: UTC",
    "ttl": "The time to live, in minutes",
    "update": "A change of the state, as a node would return it",
    "updates": "What each of the step's nodes returned",
    "user_context": "What your nodes should know about the user, at most 16 KiB",
    "value": "The value, at most 1 MiB",
    "values": "The values, as a node would return them",
    "version": "Its number",
    "webhook": "The https URL to call when the run ends",
}

#: Where a model's member means something else: by the model's name and the member's.
MEMBERS_OF: Mapping[str, str] = {
    "CancelMany.status": "Cancel all runs in this state",
    "CancelMany.thread_id": "The thread of the runs in `run_ids`",
    "ChatBody.assistant_id": "Default: the only graph, or the installation's default graph",
    "ChatBody.resume": "Instead of `message`, the answer to a question: any JSON, or `{interrupt_id: value}`",
    "CronSearch.enabled": "Only enabled crons, or only disabled ones",
    "CronPatch.assistant_id": "Do not send it: you cannot change the assistant",
    "ThreadCount.values": "Only threads whose values contain this",
    "ThreadSearch.values": "Only threads whose values contain this",
}
