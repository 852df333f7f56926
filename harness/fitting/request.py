"""What a user asks of `harness fit`, checked, and parameters read from a file."""

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

MULTI_POWER: Final = "multi-power"
LOSS_TO_LOSS: Final = "loss-to-loss"
PARAMETERS: Final = {
    MULTI_POWER: ("l0", "a", "alpha", "b", "c", "beta", "gamma"),
    "power": ("alpha", "log_c"),
    "shifted-power": ("E", "A", "alpha"),
    "two-segment": ("alpha_1", "alpha_2", "t_knee", "loss_knee"),
    LOSS_TO_LOSS: ("kappa", "k", "e0", "e1"),
}
"""The laws and their parameters."""
UNTIL: Final = 0.2
"""Share of a test file that a law of one curve is fitted on."""
FIGURES: Final = (".png", ".pdf", ".svg")
_PER_FILE: Final = ("power", "shifted-power", "two-segment")
_ONLY_FOR: Final = {
    "until": _PER_FILE,
    "warmup_steps": (MULTI_POWER,),
    "peak_lr": (MULTI_POWER,),
    "e0": (LOSS_TO_LOSS,),
    "e1": (LOSS_TO_LOSS,),
}

Parameters = dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A law, the files and the options; None: not given.

    Raises:
        KeyError: No law has this name.
        ValueError: There are no files, a file is given twice, or an option is of no
            use for this law or not in its range.
    """

    law: str
    """One of `PARAMETERS`."""
    train: tuple[Path, ...] = ()
    """Files to be fitted."""
    test: tuple[Path, ...] = ()
    """Files to be forecast."""
    until: float | None = None
    """Share of a test file that a law of one curve is fitted on; `UNTIL`."""
    first_step: int = 1
    """Number that the files give to the first update, 0 or 1."""
    warmup_steps: int | None = None
    """Updates of the warm-up before the files begin."""
    peak_lr: float | None = None
    """Rate at its end."""
    e0: float | None = None
    """Floor of the loss that predicts, if it is held."""
    e1: float | None = None
    """Floor of the other loss, if it is held."""
    params: Path | None = None
    """Parameters to be scored in place of a fit."""
    save: Path | None = None
    """Where to write the parameters."""
    figure: Path | None = None
    """Where to write the figure."""

    def __post_init__(self) -> None:
        """Check what can be checked without the files."""
        if self.law not in PARAMETERS:
            close = difflib.get_close_matches(self.law, PARAMETERS, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            known = ", ".join(PARAMETERS)
            raise KeyError(f"no law is called {self.law!r}{hint} (known: {known})")
        for name, laws in _ONLY_FOR.items():
            if getattr(self, name) is not None and self.law not in laws:
                option = "--" + name.replace("_", "-")
                raise ValueError(
                    f"{option} says nothing to {self.law}; it is for {', '.join(laws)}"
                )
        self._check_files()
        if self.until is not None and not 0 < self.until < 1:
            raise ValueError(f"--until is {self.until:g}, expected a share in (0, 1)")
        if self.first_step not in (0, 1):
            raise ValueError(f"--first-step is {self.first_step}, expected 0 or 1")
        if self.e1 is not None and self.e0 is None:
            raise ValueError("--e1 alone cannot be held; give --e0 too, or neither")
        if self.params is not None and self.e0 is not None:
            raise ValueError("--params hold the floors; leave --e0 and --e1 out")
        if self.figure is not None and self.figure.suffix not in FIGURES:
            raise ValueError(
                f"--figure is {self.figure}, expected a file ending in "
                f"{', '.join(FIGURES)}"
            )

    def _check_files(self) -> None:
        files = [*self.train, *self.test]
        if not files:
            raise ValueError(
                "no file is given; expected --train A.csv and --test B.csv"
            )
        seen = [path.resolve() for path in files]
        twice = [str(f) for f, r in zip(files, seen, strict=True) if seen.count(r) > 1]
        if twice:
            raise ValueError(
                f"{twice[0]} is given twice; a file is for training or for testing"
            )
        if not self.train and self.params is None and self.law not in _PER_FILE:
            raise ValueError(
                f"{self.law} has nothing to be fitted to; give --train files, or "
                "--params to score given parameters"
            )


class Given:
    """Parameters from a file: one set for all files, or one by file."""

    def __init__(self, path: Path, law: str) -> None:
        """Read the parameters of a law.

        Raises:
            ValueError: The file is not what `harness fit --save` writes.
        """
        self.path = path
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise ValueError(f"{path}: there is no such file") from error
        except (ValueError, OSError) as error:
            raise ValueError(f"{path}: is no JSON document: {error}") from error
        example = json.dumps(
            {"law": law, "parameters": dict.fromkeys(PARAMETERS[law], 1.0)}
        )
        if not isinstance(data, dict) or not isinstance(data.get("parameters"), dict):
            raise ValueError(f"{path}: expected a document such as {example}")
        if data.get("law") != law:
            raise ValueError(
                f"{path}: holds parameters of {data.get('law')!r}, expected {law!r}"
            )
        sets: Mapping[str, Any] = data["parameters"]
        self.by_file = bool(sets) and all(isinstance(s, dict) for s in sets.values())
        self._sets = {
            name: self._checked(law, values, example)
            for name, values in (sets if self.by_file else {"": sets}).items()
        }

    def of(self, file: str) -> Parameters:
        """Return the parameters for a file.

        Raises:
            ValueError: There are none for it.
        """
        if not self.by_file:
            return self._sets[""]
        if file not in self._sets:
            raise ValueError(
                f"{self.path}: has no parameters for {file}, only for "
                f"{', '.join(self._sets)}; name the file as there, or give one set of "
                "parameters for all files"
            )
        return self._sets[file]

    def _checked(self, law: str, values: Mapping[str, Any], example: str) -> Parameters:
        if set(values) != set(PARAMETERS[law]):
            raise ValueError(
                f"{self.path}: has the parameters {', '.join(values) or 'none'}; "
                f"expected {', '.join(PARAMETERS[law])}, as in {example}"
            )
        for name, value in values.items():
            number = isinstance(value, int | float) and not isinstance(value, bool)
            if not number or not math.isfinite(value):
                raise ValueError(
                    f"{self.path}: {name} is {value!r}, expected a finite number"
                )
        return {name: float(values[name]) for name in PARAMETERS[law]}
