"""Which rule each route has, where an author's handlers are asked. A route without one is closed then."""

from collections.abc import Mapping

from relayrun_api.assistants import permissions as assistants
from relayrun_api.auth.permissions import Rule
from relayrun_api.crons import permissions as crons
from relayrun_api.runs import permissions as runs
from relayrun_api.store import permissions as store
from relayrun_api.threads import permissions as threads

_READ = threads.thread("read")

RULES: Mapping[tuple[str, str], Rule] = {
    ("POST", "/threads"): threads.new_thread,
    ("POST", "/threads/search"): threads.search_threads,
    ("POST", "/threads/count"): threads.search_threads,
    ("POST", "/threads/prune"): threads.prune_threads,
    ("GET", "/threads/{thread_id}"): _READ,
    ("PATCH", "/threads/{thread_id}"): threads.thread("update", "metadata", "ttl"),
    ("DELETE", "/threads/{thread_id}"): threads.thread("delete"),
    ("POST", "/threads/{thread_id}/copy"): threads.copy_thread,
    ("GET", "/threads/{thread_id}/stream"): _READ,
    ("GET", "/threads/{thread_id}/state"): _READ,
    ("GET", "/threads/{thread_id}/state/{checkpoint_id}"): _READ,
    ("POST", "/threads/{thread_id}/state/checkpoint"): _READ,
    ("POST", "/threads/{thread_id}/state"): threads.thread("update"),
    ("GET", "/threads/{thread_id}/history"): _READ,
    ("POST", "/threads/{thread_id}/history"): _READ,
    ("POST", "/threads/{thread_id}/commands"): runs.command,
    ("POST", "/threads/{thread_id}/stream/events"): _READ,
    ("GET", "/threads/{thread_id}/stream/events"): _READ,
    ("POST", "/threads/{thread_id}/runs"): runs.new_run,
    ("POST", "/threads/{thread_id}/runs/stream"): runs.new_run,
    ("POST", "/threads/{thread_id}/runs/wait"): runs.new_run,
    ("GET", "/threads/{thread_id}/runs"): runs.runs_of_thread,
    ("GET", "/threads/{thread_id}/runs/{run_id}"): _READ,
    ("GET", "/threads/{thread_id}/runs/{run_id}/join"): runs.join_run,
    ("GET", "/threads/{thread_id}/runs/{run_id}/stream"): runs.join_run,
    ("POST", "/threads/{thread_id}/runs/{run_id}/cancel"): runs.cancel_run,
    ("DELETE", "/threads/{thread_id}/runs/{run_id}"): threads.thread("delete"),
    ("POST", "/runs"): runs.new_run,
    ("POST", "/runs/stream"): runs.new_run,
    ("POST", "/runs/wait"): runs.new_run,
    ("POST", "/runs/batch"): runs.new_runs,
    ("POST", "/runs/cancel"): runs.cancel_runs,
    ("POST", "/chat"): runs.new_answer,
    ("POST", "/invoke"): runs.new_answer,
    ("POST", "/run-task"): runs.new_answer,
    ("GET", "/chat/{run_id}"): _READ,
    ("GET", "/history/{thread_id}"): _READ,
    ("DELETE", "/runs/{run_id}"): runs.cancel_run,
    ("POST", "/assistants"): assistants.new_assistant,
    ("POST", "/assistants/search"): assistants.search_assistants,
    ("POST", "/assistants/count"): assistants.search_assistants,
    ("GET", "/assistants/{assistant_id}"): assistants.assistant("read"),
    ("PATCH", "/assistants/{assistant_id}"): assistants.assistant(
        "update", "graph_id", "config", "context", "metadata", "name"
    ),
    ("DELETE", "/assistants/{assistant_id}"): assistants.delete_assistant,
    ("POST", "/assistants/{assistant_id}/versions"): assistants.assistant("read"),
    ("POST", "/assistants/{assistant_id}/latest"): assistants.assistant("update", "version"),
    ("GET", "/assistants/{assistant_id}/graph"): assistants.assistant("read"),
    ("GET", "/assistants/{assistant_id}/schemas"): assistants.assistant("read"),
    ("GET", "/assistants/{assistant_id}/subgraphs"): assistants.assistant("read"),
    ("GET", "/assistants/{assistant_id}/subgraphs/{namespace}"): assistants.assistant("read"),
    ("POST", "/threads/{thread_id}/runs/crons"): crons.new_cron,
    ("POST", "/runs/crons"): crons.new_cron,
    ("POST", "/runs/crons/search"): crons.search_crons,
    ("POST", "/runs/crons/count"): crons.search_crons,
    ("GET", "/runs/crons/{cron_id}"): crons.cron("read"),
    ("PATCH", "/runs/crons/{cron_id}"): crons.change_cron,
    ("DELETE", "/runs/crons/{cron_id}"): crons.cron("delete"),
    ("PUT", "/store/items"): store.item("put", "namespace", "key", "value", "index", "ttl"),
    ("GET", "/store/items"): store.get_item,
    ("DELETE", "/store/items"): store.item("delete", "namespace", "key"),
    ("POST", "/store/items/search"): store.search_items,
    ("POST", "/store/namespaces"): store.search_namespaces,
}
