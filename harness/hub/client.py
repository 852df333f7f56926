"""The Hub's client, its errors in our words and without secrets, and another try."""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final, TypeVar

from harness.errors import HubError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

T = TypeVar("T")

KIND: Final = "dataset"
"""Type of the repositories that corpora live in."""
TRIES: Final = 4
"""How often a step is tried before the user is asked to."""
PAUSE_S: Final = 2.0
"""Seconds before the second try; doubled for each one after."""
_PERMANENT: Final = frozenset({400, 401, 402, 403, 404, 410, 413, 422, 451})
"""Answers that another try would not change."""
_TOKEN: Final = re.compile(r"hf_[A-Za-z0-9_]+|(?<=Bearer )\S+")
_SHOWN: Final = 300
"""Characters of a foreign message that are shown."""


def hub_api() -> "HfApi":
    """Return a client that obeys HF_ENDPOINT, HF_TOKEN and HF_HOME."""
    from huggingface_hub import HfApi, constants

    return HfApi(endpoint=constants.ENDPOINT)


@contextlib.contextmanager
def hub_errors(doing: str) -> Iterator[None]:
    """Turn what the client raises into a `HubError` without secrets.

    Args:
        doing: What is tried, such as "publish ORG/NAME"; begins the message.
    """
    try:
        yield
    except failures() as error:
        raise HubError(f"cannot {doing}: {_told(error)}") from None


def with_tries(
    step: Callable[[], T],
    doing: str,
    *,
    say: Callable[[str], None],
    pause_s: float = PAUSE_S,
) -> T:
    """Return what `step` returns, which can be run again after any failure.

    Args:
        step: Something whose second run ends as its first one would have.
        doing: What it does, for messages.
        say: Takes a line for the user.
        pause_s: Seconds before the second try; doubled for each one after.

    Raises:
        HubError: It failed for good, or `TRIES` times.
    """
    for number in range(1, TRIES):
        try:
            return step()
        except failures() as error:
            if not _may_pass(error):
                raise HubError(f"cannot {doing}: {_told(error)}") from None
            pause = pause_s * 2 ** (number - 1)
            say(f"{_told(error)}: trying again in {pause:.0f} s")
            time.sleep(pause)
    with hub_errors(doing):
        return step()


def failures() -> tuple[type[BaseException], ...]:
    """Return what the client raises where the Hub or the way to it fails.

    The HTTP library below the client changed between its versions: its base error is
    a base of the client's. An answer cut short is no JSON, a ValueError; the Xet
    library raises RuntimeError.
    """
    from huggingface_hub.errors import HfHubHTTPError

    return (OSError, ValueError, RuntimeError, *HfHubHTTPError.__bases__)


def without_secrets(text: str) -> str:
    """Return a text in which no token of the Hub is left.

    Example:
        >>> without_secrets("token hf_abc123 refused")
        'token hf_*** refused'
    """
    from huggingface_hub import get_token

    token = get_token()
    if token:
        text = text.replace(token, "hf_***")
    return _TOKEN.sub("hf_***", text)


def status_of(error: BaseException) -> int | None:
    """Return the HTTP status that an error tells of, None where there was no answer."""
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    return status if isinstance(status, int) else None


def _may_pass(error: BaseException) -> bool:
    """Tell whether another try may go better: not of wrong names and values."""
    is_wrong = isinstance(error, ValueError) and not isinstance(
        error, json.JSONDecodeError
    )
    return not is_wrong and status_of(error) not in _PERMANENT


def _told(error: BaseException) -> str:
    """Return one line about an error, and what to do about it where that is known."""
    first = without_secrets(" ".join(str(error).split()))[:_SHOWN]
    line = f"{type(error).__name__}: {first}"
    mend = {
        401: "log in with `hf auth login` or set HF_TOKEN",
        403: "the token must be allowed to write to this repository",
    }.get(status_of(error) or 0)
    if "Connect" in type(error).__name__:
        mend = "is the network up, and HF_ENDPOINT right where it is set?"
    return f"{line} ({mend})" if mend else line
