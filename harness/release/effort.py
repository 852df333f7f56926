"""What the runs of a corpus cost: seconds by account, and passes spent by probes."""

from typing import Final, NamedTuple

import polars as pl

from harness.costs import ACCOUNTS, account_columns, label

_PREFIX: Final = "cost."
_PROBE: Final = "cost.probe."


class Account(NamedTuple):
    """Seconds spent on one thing."""

    name: str
    """Such as "training" or "probe hessian", see `harness.costs.label`."""
    total_s: float
    """Sum over the runs."""
    median_s: float
    """Median over the runs that have the account."""


class Effort(NamedTuple):
    """What the runs cost."""

    accounts: tuple[Account, ...]
    """By account, the dearest first; empty if no time was recorded."""
    runs: int
    """Runs with a recorded time."""
    probe_share: float | None
    """Passes of all probes over those of training; None if they were not counted."""

    @property
    def total_s(self) -> float:
        """Seconds of all runs on all accounts."""
        return sum(account.total_s for account in self.accounts)

    def over_training(self, account: Account) -> float | None:
        """Return the account's seconds over those of training.

        None if training was not timed. Where an account has fewer runs than training,
        this is less than what it costs such a run.
        """
        training = [a.total_s for a in self.accounts if a.name == ACCOUNTS["train"]]
        return account.total_s / training[0] if any(training) else None


def effort(runs: pl.DataFrame) -> Effort:
    """Return the costs of a table of runs.

    A share of passes weighs a backward pass as two forward ones, as
    `harness.signal_table` does: (forward + 2 backward) / (3 train_images), summed over
    the runs that counted both.

    Example:
        Columns cost.train_s (1, 3) and cost.eval_s (2, None) give the accounts
        ("training", 4, 2) and ("evaluation", 2, 2).
    """
    columns = account_columns(runs.columns)
    accounts = []
    for column, name in columns.items():
        seconds = runs[column].drop_nulls().drop_nans()
        if len(seconds):
            total, median = float(seconds.sum()), seconds.median()
            assert isinstance(median, float)
            accounts.append(Account(label(name), total, median))
    known = runs.select(
        pl.any_horizontal(pl.lit(False), *(pl.col(c).is_not_null() for c in columns))
    )
    return Effort(
        tuple(sorted(accounts, key=lambda a: (-a.total_s, a.name))),
        int(known.to_series().sum()) if columns else 0,
        _probe_share(runs),
    )


def _probe_share(runs: pl.DataFrame) -> float | None:
    images = f"{_PREFIX}train_images"
    weights = {
        c: 1 + c.endswith("_backward_images")
        for c in runs.columns
        if c.startswith(_PROBE) and c.endswith("_images")
    }
    if images not in runs.columns or not weights:
        return None
    work = pl.sum_horizontal(w * pl.col(c).fill_null(0) for c, w in weights.items())
    counted = runs.filter(pl.col(images) > 0).select(work.sum(), pl.col(images).sum())
    done, trained = counted.row(0)
    return done / (3 * trained) if trained else None
