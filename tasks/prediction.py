"""What passes between a task and a predictor: a question, targets and answers.

A predictor has scikit-learn's manners: its constructor stores arguments, `fit` learns
from observations with targets, `predict` answers for observations without.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

import numpy.typing as npt

from harness.measure import Floats
from harness.registry import Registry
from harness.spec import Part
from tasks.observations import Observations

PREDICTORS: Final[Registry[Callable[..., Any]]] = Registry("predictor", "baselines")


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The truth for n examples, in the order of the observations' ids."""

    ids: tuple[str, ...]
    """Opaque names, those of the observations."""
    values: Floats
    """`[n]`, in the target's unit; empty where a curve is asked for."""
    curves: tuple[Floats, ...] = ()
    """`[N, E]` a block of the observations: the mean loss of each whole epoch that
    begins after the window, in nats; empty unless a curve is asked for."""
    groups: tuple[str, ...]
    """Opaque labels: equal ones differ in the seed only. Keep them together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Answers for n examples, in the order of the observations' ids."""

    mean: npt.NDArray[Any] | None = None
    """`[n]`, the forecast in the target's unit; NaN: declined."""
    quantiles: npt.NDArray[Any] | None = None
    """`[n, L]` at `asked.levels`, not decreasing; None: no uncertainty is given."""
    curves: tuple[npt.NDArray[Any], ...] | None = None
    """`[N, E]` a block, where a curve is asked for; NaN: declined."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """Why an example is declined, by id."""


@runtime_checkable
class Predictor(Protocol):
    """What a predictor is.

    It may have attributes:

    uses: Names of the recorded signals that it reads, beside `train_loss` and `lr`;
        every other is hidden from it, and only these are charged. Without it
        everything is shown and charged.
    reads_settings: False hides hyper-parameters. Default True.
    reads_curves: False hides all curves, so that no part of a run need be trained and
        the answer is free. Default True.

    `fit` and `predict` may raise `harness.errors.Declined`.
    """

    def fit(self, observations: Observations, targets: Targets) -> Any:
        """Learn from examples with targets."""

    def predict(self, observations: Observations) -> Prediction | npt.NDArray[Any]:
        """Answer for other examples: a `Prediction`, or the means `[n]` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What a predictor wants to see, and so has to pay for."""

    signals: tuple[str, ...] | None
    """Recorded signals beside `train_loss` and `lr`; None: all that the task shows."""
    settings: bool = True
    """Whether hyper-parameters are read."""
    curves: bool = True
    """Whether anything of the run itself is read."""

    @classmethod
    def of(cls, predictor: Any) -> "Charge":
        """Return what a predictor declares."""
        uses = getattr(predictor, "uses", None)
        return cls(
            signals=None if uses is None else tuple(uses),
            settings=bool(getattr(predictor, "reads_settings", True)),
            curves=bool(getattr(predictor, "reads_curves", True)),
        )


EVERYTHING: Final = Charge(signals=None)
"""All that a task shows."""


def make_predictor(part: Part) -> Any:
    """Return a new predictor: a registered one or `module:attribute`.

    A scikit-learn estimator (class or object) is wrapped, see `tasks.estimator`.

    Raises:
        KeyError: Nothing is called so.
        TypeError: It takes other arguments, or has no `fit` and `predict`.
    """
    from tasks.estimator import Estimator, is_estimator  # brings scikit-learn

    thing = PREDICTORS.get(part.name)
    if is_estimator(thing):
        return Estimator(thing, part.params)
    if not callable(thing):
        raise TypeError(
            f"{part.name} is a {type(thing).__name__}, expected a class with `fit` and "
            "`predict`, or a scikit-learn estimator"
        )
    made = thing(**part.params)
    if not isinstance(made, Predictor):
        raise TypeError(f"{part.name} has no methods `fit` and `predict`")
    return made
