"""Makes the imports of a starting process faster."""

import gc
import importlib.abc
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

# Libraries import these where they are installed, and no process of ours calls them.
_UNUSED = (
    "httpx._main",  # the command line of httpx, with rich and pygments: 60 ms
)
# Packages that libraries import for one of their modules: all others of it are imported with the first name that
# somebody asks the package for.
_LATER = frozenset(
    {"langsmith.types"}  # 160 models of LangSmith's API: 160 ms
)
# Modules whose pydantic models are built when they are first used, as few are: a model's class alone is cheap.
_UNBUILT = frozenset(
    {
        "fastapi.openapi.models",  # for /openapi.json: 65 ms
        "langsmith.schemas",  # for tracers that send to LangSmith: 85 ms
    }
)


class _Later(importlib.abc.MetaPathFinder):
    """Finds the packages that are executed later, and the modules whose models are built later."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """None: the finders behind this one are asked."""
        kind = _LaterLoader if fullname in _LATER else _UnbuiltLoader if fullname in _UNBUILT else None
        spec = None if kind is None else PathFinder.find_spec(fullname, path, target)
        if kind is not None and spec is not None and spec.loader is not None:
            spec.loader = kind(spec.loader)
        return spec


class _LaterLoader(importlib.abc.Loader):
    """Executes a module when it is first asked for a name that it has not."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader
        self._lock = threading.RLock()
        self._executing = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Leave it to the first use."""
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader  # whoever looks for its source finds it

        def execute(name: str) -> Any:
            with self._lock:
                if self._executing:  # a name that its own code asks for too early
                    raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
                if module.__dict__.get("__getattr__") is execute:
                    self._executing = True
                    try:
                        self._loader.exec_module(module)
                    finally:
                        self._executing = False
                    if module.__dict__.get("__getattr__") is execute:
                        del module.__dict__["__getattr__"]
            return getattr(module, name)

        module.__dict__["__getattr__"] = execute


class _UnbuiltLoader(importlib.abc.Loader):
    """Executes a module whose models pydantic builds when they are first used."""

    def __init__(self, loader: importlib.abc.Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As the module's own loader does."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Execute it, with another default of the setting that each model inherits."""
        from pydantic import BaseModel

        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self._loader  # whoever looks for its source finds it
        before = BaseModel.model_config
        BaseModel.model_config = {**before, "defer_build": True}
        try:
            self._loader.exec_module(module)
        finally:
            BaseModel.model_config = before


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import modules that stay for the life of the process.

    The garbage collector does not run meanwhile, and never looks at them later: looking among so many objects is a
    tenth of the time of an import, and a pause ever after.
    """
    later = _Later()
    sys.meta_path.insert(0, later)
    skipped = [name for name in _UNUSED if name not in sys.modules]
    for name in skipped:
        sys.modules[name] = None  # type: ignore[assignment]  # the documented way to make an import fail
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        sys.meta_path.remove(later)
        gc.freeze()
        if collected:  # not within another one
            gc.enable()
        for name in skipped:
            if sys.modules.get(name) is None:
                del sys.modules[name]
