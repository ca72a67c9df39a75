"""Where we differ from `langgraph dev` on purpose, and why. docs/how-to/migrate.md shows this table."""

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
_SENTENCES = "longer sentences, with the words by which programs know them"
_MORE = ("further members", "they say more, and clients ignore members that they do not know")
_BOOKS = (
    "no `langgraph_api_url`, `langgraph_plan`, `langgraph_request_id` and the like in metadata, config and `/info`",
    "they say which server it is, and are of its and LangSmith's own bookkeeping",
)
_BOOKKEEPING = (
    *("langgraph_api_url", "langgraph_api_version", "langgraph_host", "langgraph_plan", "langgraph_request_id"),
    *("langgraph_py_version", "langsmith_*", "__request_start_time_ms__", "__after_seconds__"),
)
_WHOM = (
    "no `langgraph_auth_user`, `langgraph_auth_user_id`, `langgraph_auth_permissions`, `user_id` in what is told",
    "whom a run is for, with tokens, is for its graph alone",
)
_USER = ("langgraph_auth_user", "langgraph_auth_user_id", "langgraph_auth_permissions", "user_id")
_ASKED = (
    "a run's `kwargs.config` is what was asked",
    "the same request can be made of it again; what the server adds is the run's own ids, which stand beside it",
)

_PAGES = "any page that you open could use your agents and read what they know"

KEPT: tuple[Kept, ...] = (
    Kept("*", "* .*", "more", *_MORE),
    Kept("*", "* header .content-type", "other", "`application/problem+json`", _PROBLEM),
    *(Kept("*", f"* .{where}", "other", _SENTENCES, _PROBLEM) for where in ("detail", "error.message")),
    Kept("oddities.actions", "action*", "other", *_MORE),
    *(Kept("cancels.*", where, "other", *_MORE) for where in ("cancel", "interrupt", "rollback")),
    Kept(
        "runs.on_a_busy_thread",
        "* .metadata.*_id",
        "other",
        "a run's metadata, and its thread's, name the run's own graph at once",
        "there a run that waits behind one of another graph says that it is of that graph",
    ),
    *(Kept("*", f"*.{name}", "missing", *_BOOKS) for name in _BOOKKEEPING),
    *(Kept("*", f"*.{name}", "missing", *_WHOM) for name in _USER),
    Kept("*", "*kwargs.config.*", "missing", *_ASKED),
    Kept("*", "*kwargs.durability", "other", "`durability: sync` by default", "a finished step is never repeated"),
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
    Kept("*", "*.kwargs.resumable", "other", "every stream can be resumed", "events are journaled in any case"),
    Kept("others.items", "a wrong label", "other", "`application/problem+json`", _PROBLEM),
    Kept("others.system", "info .version", "other", "our own version", "`server` says who we are"),
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
