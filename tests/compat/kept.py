"""Where we differ from `langgraph dev` on purpose, and why. docs/migrate.md shows this table."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase

from tests.compat.comparing import Difference, Kind


@dataclass(frozen=True)
class Kept:
    """`scenario` and `where` are patterns as in a shell; `what` and `why` are for people."""

    scenario: str
    where: str
    kind: Kind
    what: str
    why: str

    def covers(self, scenario: str, difference: Difference) -> bool:
        """Whether this entry is about the difference."""
        # Brackets are places in lists, not sets of characters.
        place, pattern = (text.replace("[", "<").replace("]", ">") for text in (difference.where, self.where))
        return difference.kind == self.kind and fnmatchcase(scenario, self.scenario) and fnmatchcase(place, pattern)


_PROBLEM = (
    "every refusal is a problem document (RFC 9457) with a sentence that says what to do; `detail` is the same member"
)
_TRACE = "LangSmith's own bookkeeping in metadata; ours has the run, its attempt and its graph"
_INSIDE = "what the server keeps for itself of a run's configuration is not shown to clients"

_PAGES = "any page that you open could use your agents and read what they know"

KEPT: tuple[Kept, ...] = (
    Kept("*", "* .*", "more", "further members", "they say more, and clients ignore members that they do not know"),
    Kept("*", "* header .content-type", "other", "`application/problem+json`", _PROBLEM),
    Kept("*", "* .detail", "other", "other sentences", _PROBLEM),
    Kept("*", "* .metadata.*", "missing", "metadata of LangSmith", _TRACE),
    Kept("*", "*kwargs*", "missing", "members of a run's `kwargs`", _INSIDE),
    Kept("*", "*langsmith_*", "missing", "members for LangSmith", _TRACE),
    Kept("*", "*kwargs.durability", "other", "`durability: sync` by default", "a finished step is never repeated"),
    Kept("*", "* .config.configurable", "missing", "an empty `configurable` of threads", _INSIDE),
    Kept(
        "*",
        "*response_schema",
        "missing",
        "no `response_schema: null`",
        "left out where a graph gives none, as in the SDK's type",
    ),
    Kept(
        "*",
        "* header .location",
        "other",
        "a stream's `Location` has `last_event_id`",
        "who was cut off before the first event comes back in front of it",
    ),
    Kept(
        "*",
        "* header .content-location",
        "other",
        "stateless runs have a thread, and their addresses name it",
        "a run that is lost sight of can be found, read and joined under it",
    ),
    Kept("*", "*onfigurable.*", "missing", "further members of `configurable`", _INSIDE),
    Kept("*", "*.langgraph_*", "missing", "metadata of LangSmith", _TRACE),
    Kept("*", "*.run_attempt", "missing", "`run_attempt`", "the event `metadata` has `attempt`"),
    Kept("*", "*.kwargs.resumable", "other", "every stream can be resumed", "events are journaled in any case"),
    Kept(
        "threads.after_a_run",
        "update as nobody status",
        "other",
        "an edit that the graph refuses is 422",
        "as every body that cannot be taken",
    ),
    Kept(
        "runs.cancelled",
        "thread after * .status",
        "other",
        "after a cancel the thread is `idle`",
        "`interrupted` means that somebody is asked something",
    ),
    Kept("runs.cancelled", "thread after * .error", "other", "a cancel is no error", "the run says `Cancelled`"),
    Kept(
        "runs.*",
        "* .metadata.*_id",
        "other",
        "a thread's metadata names the graph that ran on it last",
        "state is read with that graph",
    ),
    Kept("others.items", "a wrong label", "other", "`application/problem+json`", _PROBLEM),
    Kept("others.system", "info .version", "other", "our own version", "`server` says who we are"),
    Kept("others.system", "ok .services", "missing", "no `services`", "`/status` has them"),
    Kept(
        "streams.a_question",
        "runs[] .status",
        "other",
        "a run that waits for an answer is `interrupted`",
        "who lists runs sees which of them wait for a person",
    ),
    Kept(
        "runs.in_the_background",
        "cancel finished status",
        "other",
        "cancelling a finished run is 409",
        "the run exists: 404 would say that it does not",
    ),
    Kept(
        "assistants.the_graphs_own",
        "no id status",
        "other",
        "`/assistants/{id}` takes a graph's name too: an unknown one is 404",
        "names are taken wherever ids are",
    ),
    Kept(
        "runs.refused",
        "a wrong strategy status",
        "other",
        "an unknown `multitask_strategy` is 422",
        "a run that means something else than was asked for is worse than none",
    ),
    Kept(
        "runs.context_and_configurable_together",
        "both status",
        "other",
        "`context` and `config.configurable` together are accepted",
        "each reaches the graph as LangGraph has it",
    ),
    Kept(
        "values.*",
        "*surrogate",
        "other",
        "a lone surrogate becomes U+FFFD",
        "as a NUL does; a question mark could have been there",
    ),
    Kept(
        "outcomes.waiting_in_each_mode",
        "*events* .*",
        "missing",
        "`wait` and `join` answer with what `output_schema` names, whatever is streamed and whenever they are asked",
        "what a graph keeps to itself stays there",
    ),
    *(
        Kept("outcomes.*", where, "other", "`wait` and `join` tell each question once, in any mode", "it is asked once")
        for where in ("*'updates'* .__interrupt__ length", "*'updates'* .__interrupt__[].value")
    ),
    Kept("studio.*", "*.payload.metadata.*", "missing", "metadata of LangSmith", _TRACE),
    Kept(
        "studio.a_visit",
        "threads[] .config.recursion_limit",
        "missing",
        "an empty `config` of threads",
        _INSIDE,
    ),
    *(
        Kept("studio.*", where, kind, "pages of localhost and of Studio may call, others may not", _PAGES)
        for where, kind in (
            ("* header .access-control-allow-origin", "other"),
            ("* header .access-control-allow-origin", "missing"),
            ("of any page status", "other"),
        )
    ),
    Kept(
        "studio.leave_to_call",
        "from a public page status",
        "other",
        "Studio may call a private network: its preflight is answered 200",
        "browsers ask before a public page calls one's own machine",
    ),
    Kept(
        "studio.leave_to_call",
        "* header .access-control-allow-private-network",
        "missing",
        "leave for a private network is given where it is asked for",
        "elsewhere it means nothing",
    ),
    Kept("studio.leave_to_call", "* header .access-control-allow-methods", "other", "no `QUERY`", "no route takes it"),
    Kept(
        "studio.*",
        "* header .access-control-expose-headers",
        "other",
        "pages may read further headers",
        "among them where to go on reading after a lost connection",
    ),
)


def table() -> str:
    """The differences for people, as a table in Markdown: each sentence once."""
    rows = dict.fromkeys(f"| {kept.what} | {kept.why} |" for kept in KEPT)
    return "\n".join(["| here | why |", "|---|---|", *rows])
