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
    "every refusal is a problem document (RFC 9457) with a sentence that says what to do, in the same member `detail`"
)
_SENTENCES = "longer error messages, with the words by which programs recognize them"
_MORE = ("additional members", "they say more, and clients ignore members that they do not know")
_BOOKS = (
    "no `langgraph_api_url`, `langgraph_plan`, `langgraph_request_id` and the like in metadata, config and `/info`",
    "they describe that server, and serve its own bookkeeping and LangSmith's",
)
_BOOKKEEPING = (
    *("langgraph_api_url", "langgraph_api_version", "langgraph_host", "langgraph_plan", "langgraph_request_id"),
    *("langgraph_py_version", "langsmith_*", "__request_start_time_ms__", "__after_seconds__"),
)
_WHOM = (
    "no `langgraph_auth_user`, `langgraph_auth_user_id`, `langgraph_auth_permissions`, `user_id` in answers",
    "only the graph may know the run's user, who may carry tokens",
)
_USER = ("langgraph_auth_user", "langgraph_auth_user_id", "langgraph_auth_permissions", "user_id")
_ASKED = (
    "a run's `kwargs.config` is what the request said",
    "so you can send the same request again; the server would add only the run's ids, which are in the run anyway",
)

_PAGES = "otherwise any page that you open could use your agents and read what they know"

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
        "the metadata of a run and of its thread name the run's own graph at once",
        "there, a run that waits behind a run of another graph has that graph's name",
    ),
    *(Kept("*", f"*.{name}", "missing", *_BOOKS) for name in _BOOKKEEPING),
    *(Kept("*", f"*.{name}", "missing", *_WHOM) for name in _USER),
    Kept("*", "*kwargs.config.*", "missing", *_ASKED),
    Kept("*", "*kwargs.durability", "other", "`durability: sync` by default", "a completed step is never repeated"),
    Kept(
        "*",
        "* header .location",
        "other",
        "a stream's `Location` has `last_event_id`",
        "a client that is cut off before the first event can reconnect in front of it",
    ),
    Kept(
        "*",
        "* header .content-location",
        "other",
        "stateless runs have a thread, and their URLs name it",
        "a client that lost a run can find, read and join it there",
    ),
    Kept("*", "*.kwargs.resumable", "other", "every stream can be resumed", "events are in the journal in any case"),
    Kept("others.items", "a wrong label", "other", "`application/problem+json`", _PROBLEM),
    Kept("others.system", "info .version", "other", "Relayrun's own version", "`server` names Relayrun"),
    Kept(
        "values.*",
        "*surrogate",
        "other",
        "a lone surrogate becomes U+FFFD",
        "as a NUL does; a question mark could be part of the text",
    ),
    Kept(
        "outcomes.waiting_in_each_mode",
        "*events* .*",
        "missing",
        "`wait` and `join` answer with what `output_schema` names, whatever you stream and whenever you call them",
        "what a graph keeps to itself stays private",
    ),
    *(
        Kept(
            "outcomes.*",
            where,
            "other",
            "`wait` and `join` contain each question once, in any mode",
            "the graph asks it once",
        )
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
        "browsers ask before a public page calls your own machine",
    ),
    Kept(
        "studio.leave_to_call",
        "* header .access-control-allow-private-network",
        "missing",
        "an answer allows a private network only if the request asks for it",
        "elsewhere it has no meaning",
    ),
    Kept(
        "studio.leave_to_call",
        "* header .access-control-allow-methods",
        "other",
        "no method `QUERY`",
        "no route has it",
    ),
    Kept(
        "studio.*",
        "* header .access-control-expose-headers",
        "other",
        "pages may read more headers",
        "for example the one that says where to continue after a lost connection",
    ),
)


def table() -> str:
    """The differences for people, as a table in Markdown: each sentence once."""
    rows = dict.fromkeys(f"| {kept.what} | {kept.why} |" for kept in KEPT)
    return "\n".join(["| here | why |", "|---|---|", *rows])
