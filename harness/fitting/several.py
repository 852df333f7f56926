"""Options that take several values at once: `--train A.csv B.csv --test C.csv`."""

from collections.abc import Collection, Iterable
from typing import Any

from typer.core import TyperCommand


class SeveralValues(TyperCommand):
    """A command whose repeatable options take all words up to the next option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the name of such an option before each of its values."""
        several = [p.opts for p in self.params if getattr(p, "multiple", False)]
        names = {name for names in several for name in names}
        return super().parse_args(ctx, spread(args, names))


def spread(words: Iterable[str], names: Collection[str]) -> list[str]:
    """Return a command line with each value of the named options behind its name.

    Example:
        >>> spread(["--train", "a", "b", "--json"], {"--train"})
        ['--train', 'a', '--train', 'b', '--json']
    """
    spelled: list[str] = []
    open_option, is_first, ended = None, False, False
    for word in words:
        ended = ended or word == "--"
        if not ended and word.startswith("-") and word != "-":
            name, has_value, _ = word.partition("=")
            open_option = name if name in names else None
            is_first = not has_value
        elif open_option and not ended:
            spelled += [] if is_first else [open_option]
            is_first = False
        spelled.append(word)
    return spelled
