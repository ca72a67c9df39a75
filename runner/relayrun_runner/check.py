"""`python -m relayrun_runner.check CONFIG`: imports what a langgraph.json names, in this process, and draws the graphs.

Says the same as a runner that does not become ready, without a database. An http.app is imported and not started.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator

from relayrun_runner.auth.handlers import AuthorAuth
from relayrun_runner.author_errors import compact, compact_cause, error_text
from relayrun_runner.config.load import load_config
from relayrun_runner.config.model import Config
from relayrun_runner.custom_app.app import CustomApp
from relayrun_runner.errors import RunnerError
from relayrun_runner.graphs.loading import GraphRegistry
from relayrun_runner.store.vectors import load_embedding

#: One thing that does not load: its sentence, and the traceback of the author's.
Failure = tuple[str, str | None]


async def check(config: Config) -> list[Failure]:
    """Print each graph and its drawing, in Mermaid; what does not load is returned."""
    registry = GraphRegistry.load(config, in_dev=True)
    failures = [*_beside_graphs(config)]
    async with registry.running():
        for name, source in config.graphs.items():
            if name not in registry.failures:
                failures += [failure async for failure in _drawn(registry, name, source.path)]
    failures += [(f"graph {name}: {failure.message}", failure.traceback) for name, failure in registry.failures.items()]
    return failures


def _beside_graphs(config: Config) -> Iterator[Failure]:
    app = CustomApp.load(config)
    if app is not None and app.failure is not None:
        yield f"http.app: {app.failure.message}", app.failure.traceback
    try:
        AuthorAuth.load(config)
        if config.store is not None and config.store.index is not None:
            load_embedding(config, config.store.index.embed)
    except RunnerError as error:
        yield str(error), compact_cause(error)


async def _drawn(registry: GraphRegistry, name: str, path: str) -> AsyncIterator[Failure]:
    try:
        async with registry.open(name, {"configurable": {}}, access="assistants.read") as graph:
            drawing = (await graph.aget_graph(xray=True)).draw_mermaid(with_styles=False)
    except BaseException as error:  # noqa: BLE001 - author code may raise anything; it is reported
        yield f"graph {name}: {path} cannot be made or drawn: {error_text(error)}", compact(error)
    else:
        print(f"graph {name}: {path} is a {type(graph).__name__}\n{drawing}")  # noqa: T201


def main() -> None:
    """Exit codes: 0 all loads, 1 something does not."""
    failures = asyncio.run(check(load_config(sys.argv[1])))
    for sentence, traceback in failures:
        text = f"{sentence.partition(chr(10))[0]}\n{traceback}" if traceback else sentence
        print(text, file=sys.stderr)  # noqa: T201
    sys.stdout.flush()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
