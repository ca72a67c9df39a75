"""Bodies to send, by their model and by what they show. A test sends each to a real server, and gets an answer."""

from collections.abc import Mapping
from typing import Any

from relayrun_api.http import examples as things

_RUN: dict[str, Any] = {"assistant_id": "agent", "input": things.ASKED}
_ITEM = {"namespace": ["users", "ann"], "key": "address"}

#: Of runs without a thread of the caller's, where there is nothing to answer.
STATELESS_RUN: Mapping[str, Any] = {
    "input": {**_RUN, "stream_mode": ["updates", "messages-tuple"], "metadata": things.METADATA},
    "to be kept": {**_RUN, "on_completion": "keep"},
}

_ON_A_THREAD = {
    "input": {
        **_RUN,
        "if_not_exists": "create",
        "stream_mode": ["updates", "messages-tuple"],
        "metadata": things.METADATA,
    },
    "an answer": {"assistant_id": "agent", "command": {"resume": "approved"}},
    "a pause before a node": {**_RUN, "if_not_exists": "create", "interrupt_before": ["answer"]},
}

BODIES: Mapping[str, Mapping[str, Any]] = {
    "ChatBody": {
        "a message": {"message": "Where is my order?", "thread_id": "order-1"},
        "an answer": {"resume": "approved", "thread_id": things.NAME},
    },
    "RunCreate": _ON_A_THREAD,
    "BackgroundRun": _ON_A_THREAD,
    "BatchRun": {"two runs": [_RUN, {**_RUN, "metadata": things.METADATA}]},
    "CancelMany": {
        "all that wait": {"status": "pending"},
        "some of a thread": {"thread_id": things.NAME, "run_ids": [things.RUN]},
    },
    "ThreadCreate": {
        "a thread": {"thread_id": things.NAME, "metadata": things.METADATA, "if_exists": "do_nothing"},
        "with a state": {
            "graph_id": "agent",
            "supersteps": [{"updates": [{"as_node": "__input__", "values": things.ASKED}]}],
            "ttl": {"ttl": 43200, "strategy": "delete"},
        },
    },
    "ThreadSearch": {
        "that wait for an answer": {"status": "interrupted", "limit": 20},
        "of a customer": {"metadata": things.METADATA, "sort_by": "created_at", "select": ["thread_id", "values"]},
    },
    "ThreadCount": {"busy ones": {"status": "busy"}},
    "ThreadPrune": {"down to the newest checkpoint": {"thread_ids": [things.NAME], "strategy": "keep_latest"}},
    "ThreadPatch": {"a key": {"metadata": {"priority": "high"}}, "thirty days": {"ttl": {"ttl": 43200}}},
    "StateUpdate": {
        "a message": {
            "values": {"messages": [{"role": "user", "content": "It is order 4711."}]},
            "as_node": "answer",
        }
    },
    "StateAt": {"a checkpoint": {"checkpoint": {"checkpoint_ns": "", "checkpoint_id": things.CHECKPOINT}}},
    "HistoryQuery": {"the newest": {"limit": 3}, "of a run": {"metadata": {"run_id": things.RUN}}},
    "CronCreate": {
        "workdays at nine": {**_RUN, "schedule": "0 9 * * 1-5", "timezone": "Europe/Berlin"},
    },
    "CronPatch": {"a rest": {"enabled": False}, "another time": {"schedule": "30 8 * * *"}},
    "CronSearch": {"those that fire": {"enabled": True, "sort_by": "next_run_date", "sort_order": "asc"}},
    "CronCount": {"of an assistant": {"assistant_id": "agent"}},
    "AssistantCreate": {
        "in German": {
            "graph_id": "agent",
            "name": "Refunds",
            "description": "Answers in German.",
            "context": {"language": "de"},
            "metadata": things.METADATA,
        }
    },
    "AssistantPatch": {"another language": {"context": {"language": "en"}}},
    "AssistantSearch": {"of a graph": {"graph_id": "agent", "limit": 20, "sort_by": "name", "sort_order": "asc"}},
    "AssistantCount": {"of a graph": {"graph_id": "agent"}},
    "VersionSearch": {"the newest": {"limit": 5}},
    "LatestVersion": {"the first": {"version": 1}},
    "ItemPut": {"an address": {**_ITEM, "value": {"city": "Bremen"}}},
    "ItemAt": {"an address": _ITEM},
    "ItemSearch": {"of a city": {"namespace_prefix": ["users"], "filter": {"city": "Bremen"}}},
    "NamespaceSearch": {"of users": {"prefix": ["users"], "max_depth": 2}},
    "EventStreamRequest": {"all of a chat": {"channels": ["values", "messages", "lifecycle"]}},
}
