"""The templates of `data_cards/`, and how foreign text enters Markdown and BibTeX."""

import functools
import html
import re
from importlib.resources import files
from typing import Any, Final

import jinja2

from harness.columns import percent

_NAME: Final = re.compile(r"[\w.+/=@-]{1,100}", re.ASCII)
_MARKDOWN: Final = "\\`*[]|"
_BIBTEX: Final = str.maketrans({c: f"\\{c}" for c in "{}$%&#_"} | {"\\": "/", "`": "'"})


def render(template: str, **values: Any) -> str:
    """Return a template of `data_cards/` filled in; an undefined name is an error.

    Raises:
        jinja2.UndefinedError: The template names a value that is not given.
    """
    return _environment().get_template(template).render(values).rstrip() + "\n"


def plain(text: Any) -> str:
    r"""Return foreign text in one line and without a meaning in Markdown or HTML.

    Example:
        >>> print(plain("a|b <i>"))
        a\|b &lt;i&gt;
    """
    text = html.escape(" ".join(str(text).split()), quote=False)
    return "".join(f"\\{c}" if c in _MARKDOWN else c for c in text)


def code(text: Any) -> str:
    """Return a name as code; of a name with strange characters, `plain`.

    Example:
        >>> code("optimizer.lr"), code("a<b>")
        ('`optimizer.lr`', 'a&lt;b&gt;')
    """
    return f"`{text}`" if _NAME.fullmatch(str(text)) else plain(text)


def bibtex(text: Any) -> str:
    r"""Return foreign text in one line, as BibTeX prints it.

    Example:
        >>> print(bibtex("50 % of {x}"))
        50 \% of \{x\}
    """
    return " ".join(str(text).translate(_BIBTEX).split())


def number(value: float) -> str:
    """Return a count with separators, or three significant digits.

    Example:
        >>> number(12345), number(0.01234), number(1234.5)
        ('12,345', '0.0123', '1,234')
    """
    if isinstance(value, int) or abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def duration(seconds: float) -> str:
    """Return seconds in the unit that suits them.

    Example:
        >>> duration(0.25), duration(90), duration(7200), duration(1e6)
        ('0.25 s', '1.5 min', '2 h', '278 h')
    """
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{number(float(seconds / size))} {unit}"
    return f"{number(float(seconds))} s"


def size(count: int) -> str:
    """Return a number of bytes in a decimal unit.

    Example:
        >>> size(900), size(5_242_880)
        ('900 B', '5.24 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{number(count / scale)} {unit}"
    return f"{count} B"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun.

    Example:
        >>> counted(1, "run"), counted(2, "family", "families")
        ('1 run', '2 families')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        undefined=jinja2.StrictUndefined,
        # Markdown, not HTML: `plain` escapes for both
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters = (plain, code, bibtex, number, percent, duration, size, counted)
    environment.filters |= {function.__name__: function for function in filters}
    return environment


def _source(name: str) -> str:
    return files("data_cards").joinpath(name).read_text(encoding="utf-8")
