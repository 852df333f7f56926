"""What an attacker learns who submits noise and looks at the announced scores.

Two hundred hidden runs a half, each with a yes or no; skill is 2 accuracy - 1, so that
guessing has 0. The attacker sees announcements of the public half and nothing else.
"""

import numpy as np

from harness.seeds import stream
from leaderboard.hidden.ladder import rung

RUNS = 200
TRIES = 100
FLIPS = 10


class Board:
    """Announces scores on the public half: raw, or by a ladder of step eta."""

    def __init__(self, truth, eta):
        self.truth, self.eta, self.best = truth, eta, None

    def announce(self, said):
        score = float((said[:RUNS] * self.truth[:RUNS]).mean())
        self.best = score if self.eta is None else rung(self.best, score, self.eta)
        return self.best


def majority(board, random, queries):
    """Attack of the paper: the majority of the guesses that looked better."""
    votes = random.choice([-1, 1], size=(queries, 2 * RUNS))
    told = [board.announce(said) for said in votes]
    if board.eta is None:
        good = [score > 0 for score in told]
    else:  # a score that does not change says nothing
        good = np.diff([min(told[0], 0.0), *told]) > 0
    return np.where(votes[np.array(good)].sum(axis=0) >= 0, 1, -1)


def climbing(board, random, queries):
    """Change a few answers; keep the change if a better score is announced."""
    best, top = None, -np.inf
    tried = random.choice([-1, 1], size=2 * RUNS)
    for _ in range(queries):
        told = board.announce(tried)
        if told > top:
            best, top = tried, told
        tried = best.copy()
        tried[random.choice(2 * RUNS, size=FLIPS, replace=False)] *= -1
    return best


def gains(attack, *, eta, queries):
    """Return an attacker's mean skill on the public and on the private half."""
    found = []
    for seed in range(TRIES):
        random = stream(seed, "probing")
        truth = random.choice([-1, 1], size=2 * RUNS)
        right = attack(Board(truth, eta), random, queries) * truth
        found.append([right[:RUNS].mean(), right[RUNS:].mean()])
    return np.mean(found, axis=0)
