"""Points the `huggingface_hub` of this process at a loopback Hub, and back.

The client (2.x) reads its variables when it is imported, so besides `os.environ`
the constants it made of them are set. Older clients and `datasets` copy them on
import: run those in a process of their own with `Hub.environment`.
"""

import inspect
import os
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.hub.server import Hub


@contextmanager
def pointed_at(
    hub: Hub, home: Path, *, offline: bool = False, impatient: bool = True
) -> Iterator[None]:
    """Let `huggingface_hub` in this process speak to `hub`, with caches in `home`.

    Args:
        hub: A running Hub.
        home: The folder `HF_HOME`; use the same for a second visit.
        offline: As `HF_HUB_OFFLINE=1`.
        impatient: Retries do not sleep 1, 2, 4, 8, 8 s (up to 3 s in Xet), and a
            download that broke off resumes at once rather than after 1 s, but a
            `Retry-After` is still waited for, plus 1 s.
    """
    from huggingface_hub import HfFileSystem, constants, file_download, hf_api, utils
    from huggingface_hub.utils import _xet

    quiet = utils.are_progress_bars_disabled()
    with ExitStack() as stack:
        variables = hub.environment(home) | {"HF_HUB_OFFLINE": str(int(offline))}
        if impatient:
            variables["HF_XET_CLIENT_RETRY_BASE_DELAY"] = "1ms"
            stack.enter_context(_no_sleep(utils))
            # All that this module wants of `time` is to sleep before it resumes.
            at_once = SimpleNamespace(sleep=lambda seconds: None)
            stack.enter_context(_attributes(file_download, {"time": at_once}))
        stack.enter_context(_variables(variables))
        stack.enter_context(_attributes(constants, _constants(hub, home, offline)))
        # The functions of the package's top level are methods of this one object.
        stack.enter_context(_attributes(hf_api.api, {"endpoint": hub.endpoint}))
        # Xet reads its variables when its session starts.
        session = {"_GLOBAL_XET_HOLDER": _xet.XetSessionHolder()}
        stack.enter_context(_attributes(_xet, session))
        # The client's own upload without Xet warns, in threads of its own.
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", "Use 'content=", DeprecationWarning)
        utils.disable_progress_bars()
        try:
            yield
        finally:
            if not quiet:
                utils.enable_progress_bars()
            HfFileSystem.clear_instance_cache()  # fsspec keeps them for ever


def _no_sleep(utils: Any) -> ExitStack:
    """Let retries follow at once: their first sleep is a default argument."""
    stack = ExitStack()
    for call in (utils.http_backoff, utils.http_stream_backoff):
        inner = inspect.unwrap(call)
        defaults = {**inner.__kwdefaults__, "base_wait_time": 0}
        stack.enter_context(_attributes(inner, {"__kwdefaults__": defaults}))
    return stack


def _constants(hub: Hub, home: Path, offline: bool) -> dict[str, Any]:
    cache = str(home / "hub")
    return {
        "ENDPOINT": hub.endpoint,
        "HUGGINGFACE_CO_URL_TEMPLATE": hub.endpoint
        + "/{repo_id}/resolve/{revision}/{filename}",
        "HF_HOME": str(home),
        "HF_HUB_CACHE": cache,
        "HUGGINGFACE_HUB_CACHE": cache,
        "HF_TOKEN_PATH": str(home / "token"),
        "HF_XET_CACHE": str(home / "xet"),
        "HF_HUB_OFFLINE": offline,
        "HF_HUB_DISABLE_XET": not hub.xet,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "AGENT_HARNESSES_PATH": str(home / ".agent_harnesses.json"),
    }


@contextmanager
def _variables(values: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _attributes(owner: Any, values: dict[str, Any]) -> Iterator[None]:
    before = {name: getattr(owner, name) for name in values}
    for name, value in values.items():
        setattr(owner, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(owner, name, value)
