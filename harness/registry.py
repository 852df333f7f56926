"""Names to things: one small registry for every pluggable kind.

A factory's positional parameters are supplied by the harness; its keyword-only
parameters are the arguments that a user may set, and so belong to a run's identity.
"""

import difflib
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

T = TypeVar("T", bound=Callable[..., Any])
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Generic[T]):
    """Things of one kind by name.

    Attributes:
        kind: What the things are, for messages, such as "model".
        home: Module or package whose import registers the built-in things.
    """

    def __init__(self, kind: str, home: str) -> None:
        self.kind = kind
        self.home = home
        self._things: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str) -> Callable[[F], F]:
        """Return a decorator that files a thing under `name`."""

        def decorate(thing: F) -> F:
            if name in self._things:
                raise ValueError(f"{self.kind} {name!r} is registered twice")
            self._things[name] = thing  # type: ignore[assignment]
            return thing

        return decorate

    def names(self) -> list[str]:
        """Return the registered names, sorted."""
        self._load()
        return sorted(self._things)

    def get(self, name: str) -> T:
        """Return the thing called `name`, or the object at `module:attribute`.

        Raises:
            KeyError: Nothing has this name; the message lists what exists.
        """
        if ":" in name:
            thing: T = _imported(self.kind, name)
            return thing
        self._load()
        if name not in self._things:
            close = difflib.get_close_matches(name, self._things, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            known = ", ".join(self.names())
            raise KeyError(
                f"no {self.kind} is called {name!r}{hint} (known: {known}; "
                "your own: 'module:attribute')"
            )
        return self._things[name]

    def _load(self) -> None:
        """Import the home and, if it is a package, every module in it."""
        if self._loaded:
            return
        home = importlib.import_module(self.home)
        for found in pkgutil.iter_modules(getattr(home, "__path__", [])):
            importlib.import_module(f"{self.home}.{found.name}")
        self._loaded = True


def _imported(kind: str, name: str) -> Any:
    """Return the object at `module:attribute`.

    Raises:
        KeyError: There is no such module or attribute. What goes wrong while a module
            that is there is imported is raised as it is.
    """
    path, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise
        raise KeyError(
            f"{kind} {name!r}: there is no module {error.name!r} in this folder or "
            "among the installed ones"
        ) from None
    if not hasattr(module, attribute):
        close = difflib.get_close_matches(attribute, dir(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise KeyError(f"{kind} {name!r}: {path} has no {attribute!r}{hint}")
    return getattr(module, attribute)


def settable(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """Return the keyword-only parameters of `factory`: what a user may set."""
    parameters = inspect.signature(factory).parameters
    return {k: p for k, p in parameters.items() if p.kind is p.KEYWORD_ONLY}


def complete(
    label: str, factory: Callable[..., Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """Fill `given` with the defaults of `factory` and check the names.

    Raises:
        TypeError: An argument is unknown or a required one is missing.
    """
    known = settable(factory)
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise TypeError(
                f"{label} takes no argument {name!r}{hint} "
                f"(it takes: {', '.join(known) or 'none'})"
            )
    filled = {k: given.get(k, p.default) for k, p in known.items()}
    missing = [k for k, value in filled.items() if value is inspect.Parameter.empty]
    if missing:
        raise TypeError(f"{label} needs the argument(s) {', '.join(missing)}")
    return filled


DATASETS: Registry[Callable[..., Any]] = Registry("data set", "harness.datasets")
OOD_SETS: Registry[Callable[..., Any]] = Registry(
    "out-of-distribution set", "harness.ood"
)
MODELS: Registry[Callable[..., Any]] = Registry("model", "harness.models")
OPTIMIZERS: Registry[Callable[..., Any]] = Registry("optimizer", "harness.optimizers")
SCHEDULES: Registry[Callable[..., Any]] = Registry("schedule", "harness.schedules")
AUGMENTATIONS: Registry[Callable[..., Any]] = Registry(
    "augmentation", "harness.augment"
)
OBJECTIVES: Registry[Callable[..., Any]] = Registry("objective", "harness.objectives")
PROBES: Registry[Callable[..., Any]] = Registry("probe", "harness.probes")
PROFILES: Registry[Callable[..., Any]] = Registry("profile", "harness.profiles")
GRIDS: Registry[Callable[..., Any]] = Registry("grid", "harness.grids")
CURVE_SIGNALS: Registry[Callable[..., Any]] = Registry("curve signal", "harness.early")
IMPORTERS: Registry[Callable[..., Any]] = Registry("import format", "harness.importers")
