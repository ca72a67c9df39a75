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

_OFFSET = "How many to pass over"
_SELECT = "Answer with these members alone"

#: Of parameters in paths, queries and headers, by name.
PARAMETERS: Mapping[str, str] = {
    "run_id": "A run's id",
    "key_id": "An API key's id: its first characters behind `relayrun_`",
    "assistant_id": "An assistant's id, or a graph's name for its own assistant",
    "checkpoint_id": "A checkpoint's id, from the thread's history",
    "limit": "At most how many to answer with",
    "offset": _OFFSET,
    "status": "Only runs in this state",
    "select": f"{_SELECT}; repeat it for several",
    "cancel_on_disconnect": "Cancel the run when this connection ends",
    "stream_mode": "Only events of these modes; repeat it for several. Without it: all that the run streams",
    "Last-Event-ID": "The `id` of the last event that you had: those behind it follow. `-`: from the start",
    "last_event_id": "As the header `Last-Event-ID`, for those who cannot send one",
    "wait": "Answer when the run has ended",
    "action": "`interrupt` keeps the steps that are finished, `rollback` undoes the run's",
    "before": "Only what is older than this: a message's or a checkpoint's id",
    "prefer": "`return=minimal`: answer 204 without content",
    "subgraphs": "Answer with the states of subgraphs that wait, too",
    "channels": "values, updates, messages, lifecycle, …; repeat it, or write commas between",
    "depth": "How many levels below the namespaces to tell of; without it: all",
    "since": "The `seq` of the last event that you had",
    "delete_threads": "Delete the threads whose last run used it, too; their runs are ended",
    "recurse": "Subgraphs inside of subgraphs, too",
    "namespace": "A namespace: its labels with dots between, of a subgraph with `|`",
    "key": "The item's key",
    "refresh_ttl": "Whether reading lets the item live longer; without it: as the agent has it",
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
    "after_seconds": "Start so many seconds later, at most 30 days",
    "as_node": "The node that is taken to have returned the values",
    "assistant_id": "An assistant's id, or a graph's name",
    "before": "The checkpoint to go on behind: its id, or `{configurable: {checkpoint_id}}`",
    "channels": "values, updates, messages, tools, lifecycle, input, custom, `custom:<name>`, …",
    "checkpoint": "A checkpoint, as states have it; the newest without",
    "checkpoint_during": "The older word: `false` is `durability: exit`",
    "checkpoint_id": "The id of a checkpoint to go on from, in place of the newest",
    "command": "In place of `input`: answer a question, change the state, go to a node",
    "config": "LangGraph's configuration: tags, metadata, configurable, recursion_limit, …",
    "configurable": "What nodes find in their config",
    "context": "What nodes find as their runtime's context, as the graph's context schema has it",
    "depth": "How many levels below the namespaces to tell of; without it: all",
    "description": "What it is for",
    "durability": "When steps are saved: `sync` before the next begins, `async` meanwhile, `exit` at the end",
    "enabled": "Whether it fires",
    "end_time": "When it fires no more; UTC where it names no offset",
    "extract": "Parts of the threads to answer with as `extracted`, each name's as a path",
    "filter": "What values hold: `{field: value}` or `{field: {$gt: 3}}`; $eq, $ne, $gt, $gte, $lt, $lte",
    "goto": "The node to go to",
    "graph_id": "A graph's name",
    "id": "A number of yours, by which the command is answered",
    "ids": "Only these threads, by id or name",
    "if_exists": "What to do where it exists: refuse (`raise`, 409), or answer with what there is",
    "if_not_exists": "What to do where the thread does not exist: refuse (404), or create it",
    "index": "The members to search by meaning; `false`: none. Without it: as the agent has it",
    "input": "The graph's input; null goes on from where the thread is",
    "interrupt_after": "Pause after these nodes; `*`: after each",
    "interrupt_before": "Pause before these nodes; `*`: before each",
    "key": "The item's name in its namespace",
    "limit": "At most how many to answer with",
    "max_concurrency": "At most how many nodes to run at once",
    "max_depth": "Cut the namespaces at so many labels",
    "message": "What the user says, at most 10,000 characters",
    "metadata": "Keys and values of your own",
    "method": "What to do",
    "multitask_strategy": "On a busy thread: wait, be refused (409), or displace the run that is under way",
    "name": "A name for people",
    "namespace": "From the general to the special, as `[users, ann]`",
    "namespace_prefix": "Only items below this namespace",
    "namespaces": "Only events of these subgraphs and those below; without it: all",
    "offset": _OFFSET,
    "on_completion": "Of a run without a thread of yours: whether its thread is deleted some time after it, or kept",
    "on_disconnect": "What becomes of the run when the connection that waits for it ends",
    "on_run_completed": "Whether the thread of each run is deleted some time after it, or kept",
    "params": "What the method takes",
    "prefix": "The first labels; `*` stands for any one",
    "query": "What to search for by meaning, where the agent has a vector index",
    "recursion_limit": "At most how many steps an attempt may take",
    "refresh_ttl": "Whether reading lets items live longer; without it: as the agent has it",
    "resume": "The answer to the thread's question: any JSON, or `{interrupt_id: value}`",
    "run_ids": "Runs of the thread `thread_id`",
    "schedule": "A cron expression: minute, hour, day, month, weekday",
    "select": _SELECT,
    "since": "The `seq` of the last event that you had",
    "sort_by": "What to order by",
    "sort_order": "The smallest or the largest first",
    "status": "Only those in this state",
    "strategy": "`delete`: with all that they have; `keep_latest`: all but the newest checkpoint",
    "stream_mode": "What to stream, one or several",
    "stream_subgraphs": "Stream what happens inside of subgraphs, too",
    "subgraphs": "Answer with the states of subgraphs that wait, too",
    "suffix": "The last labels; `*` stands for any one",
    "supersteps": "The steps that make its first state, in order",
    "tags": "Words for traces",
    "thread_id": "A thread's UUID, or your own name for it",
    "thread_ids": "Threads, by id or name",
    "timezone": "An IANA name, as Europe/Berlin; UTC without",
    "ttl": "How long to keep it, in minutes",
    "update": "A change of the state, as a node would return it",
    "updates": "What each of the step's nodes returned",
    "user_context": "What your nodes are told about the user, at most 16 KiB",
    "value": "What to keep, at most 1 MiB",
    "values": "The values, as a node would return them",
    "version": "Its number",
    "webhook": "Who is told of the run's end: an https URL",
}

#: Where a model's member means something else: by the model's name and the member's.
MEMBERS_OF: Mapping[str, str] = {
    "CancelMany.status": "Cancel all runs in this state",
    "CancelMany.thread_id": "The thread of the runs in `run_ids`",
    "ChatBody.assistant_id": "Without it: the only graph, or the installation's default",
    "ChatBody.resume": "In place of `message`, the answer to a question: any JSON, or `{interrupt_id: value}`",
    "CronSearch.enabled": "Only those that fire, or only those that do not",
    "CronPatch.assistant_id": "Not to be sent: a cron keeps its own",
    "ThreadCount.values": "What the threads' values contain",
    "ThreadSearch.values": "What the threads' values contain",
}
