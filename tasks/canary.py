"""The leak canary: names and places of examples must not tell their targets."""

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from harness.measure import Floats
from tasks.metrics.inputs import Ints
from tasks.question import Answers, Question
from tasks.statistics.permutation import PermutationNull, against, permuted_targets

FIRES: Final = 0.005
"""p-values up to this are a leak; honest questions have one in two hundred times."""
NEIGHBOURS: Final = 9
PENALTY: Final = 10.0
"""Of the ridge, for standardised columns."""


def canary(
    question: Question, answers: Answers, *, permutations: int = 199, seed: int = 0
) -> PermutationNull:
    """Return how well metadata alone predict the target, against the permutation null.

    Metadata of an example: the characters of its id, its place among all ids, and its
    place in its block of curves. A ridge over all of them, and the mean over the
    `NEIGHBOURS` around either place, learn and answer fold by fold as predictors do.
    Score: the least of the three mean squared errors, in units of the target's
    variance; of a curve the last epoch's ln mean is the target. Null: whole families
    exchange their targets (`tasks.statistics.permutation`). A p of `FIRES` or less is
    a leak: nothing but chance lets a model know from a name how a run ends.

    Args:
        question: What predictors are given.
        answers: The truth of what is scored.
        permutations: Targets dealt anew.
        seed: Names the permutations.

    Raises:
        ValueError: No two families have the same number of runs.

    Cost: 432 runs: about .1 s.
    """
    truth, families = _known(question, answers)
    ids = sorted(truth)
    row = {name: number for number, name in enumerate(ids)}
    labels = np.unique([families[name] for name in ids], return_inverse=True)[1]
    y = np.array([truth[name] for name in ids])
    places, numbers = _metadata(question, ids)
    rounds = [
        (
            np.array([row[name] for name in learned.ids]),
            np.array([row[name] for name in tested]),
        )
        for learned, tested in question.rounds
    ]
    return foretold(
        numbers, places, y, labels, rounds, permutations=permutations, seed=seed
    )


def foretold(
    numbers: Floats,
    places: Sequence[Floats],
    truth: Floats,
    families: npt.ArrayLike,
    rounds: Sequence[tuple[Ints, Ints]],
    *,
    permutations: int = 199,
    seed: int = 0,
) -> PermutationNull:
    """Return how well numbers foretell a target, against the permutation null.

    A ridge over all numbers, and the mean over the `NEIGHBOURS` around each place,
    learn and answer round by round; the least of their mean squared errors counts, in
    units of the target's variance.

    Args:
        numbers: `[n, K]`, what is known of each example.
        places: `[n]` each, where examples stand in some order.
        truth: Targets `[n]`.
        families: Label of each example's family, `[n]`.
        rounds: Rows to learn from and rows to answer for.
        permutations: Targets dealt anew.
        seed: Names the permutations.

    Raises:
        ValueError: No two families have the same number of examples.
    """
    y = (truth - truth.mean()) / (truth.std() or 1.0)
    dealt = permuted_targets(y, families, permutations=permutations, seed=seed)
    targets = np.vstack([y[None], dealt]).T
    squares, count = np.zeros((1 + len(places), targets.shape[1])), 0
    for train, test in rounds:
        answered = [_ridge(numbers, targets, train, test)]
        answered += [_around(place, targets, train, test) for place in places]
        for number, said in enumerate(answered):
            squares[number] += ((said - targets[test]) ** 2).sum(axis=0)
        count += len(test)
    score = (squares / count).min(axis=0)
    return against(float(score[0]), score[1:])


def _known(
    question: Question, answers: Answers
) -> tuple[dict[str, float], dict[str, str]]:
    """Return target and family label of every example, by id."""
    is_curve = question.task.kind == "curve"
    last = [np.log(curve[-1]) for curve in answers.curves]
    truth = dict(zip(answers.ids, last if is_curve else answers.values, strict=True))
    families = dict(zip(answers.ids, answers.families, strict=True))
    for learned, _ in question.rounds:
        families |= dict(zip(learned.ids, learned.groups, strict=True))
        if not is_curve:
            truth |= dict(zip(learned.ids, learned.values, strict=True))
            continue
        blocks = question.everyone.of(learned.ids).blocks
        for block, curves in zip(blocks, learned.curves, strict=True):
            truth |= dict(zip(block.run_ids, np.log(curves[:, -1]), strict=True))
    return truth, families


def _metadata(question: Question, ids: list[str]) -> tuple[list[Floats], Floats]:
    """Return two places in [0, 1], `[n]` each, and all metadata `[n, K]`."""
    number = {name: i for i, name in enumerate(question.everyone.ids)}
    among = np.array([number[name] for name in ids]) / len(number)
    within = {
        name: place / len(block)
        for block in question.everyone.blocks
        for place, name in enumerate(block.run_ids)
    }
    places = [among, np.array([within[name] for name in ids])]
    numbers = np.column_stack([characters(ids), *places])
    return places, varying(numbers)


def characters(names: Sequence[str]) -> Floats:
    """Return the code points of names, `[n, longest]`, 0 after the end."""
    text = np.array(names)
    return text.view(np.uint32).reshape(len(names), -1).astype(np.float64)


def varying(numbers: Floats) -> Floats:
    """Return the columns of `[n, K]` that are not constant."""
    return numbers[:, numbers.std(axis=0) > 0]


def _ridge(numbers: Floats, targets: Floats, train: Ints, test: Ints) -> Floats:
    """Return what a ridge answers, `[test, R]`."""
    centre, scale = numbers[train].mean(axis=0), numbers[train].std(axis=0)
    x = (numbers - centre) / np.where(scale > 0, scale, 1.0)
    mean = targets[train].mean(axis=0)
    products = x[train].T @ x[train] + PENALTY * np.eye(x.shape[1])
    weights = np.linalg.solve(products, x[train].T @ (targets[train] - mean))
    return np.asarray(x[test] @ weights + mean)


def _around(place: Floats, targets: Floats, train: Ints, test: Ints) -> Floats:
    """Return the mean of the learned targets around each place, `[test, R]`."""
    order = train[np.argsort(place[train], kind="stable")]
    width = min(NEIGHBOURS, len(order))
    first = np.searchsorted(place[order], place[test]) - width // 2
    first = np.clip(first, 0, len(order) - width)
    total = np.zeros((len(test), targets.shape[1]))
    for step in range(width):
        total += targets[order[first + step]]
    return total / width
