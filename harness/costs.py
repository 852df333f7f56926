"""What runs spent: seconds by account, speed, and how much of a device they used.

Torch-free. Columns are named as in the table `runs`, also where they come from shards;
None is not measured.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

import polars as pl

from harness.columns import aligned, percent

ACCOUNTS: Final = {
    "train": "training",
    "eval": "evaluation",
    "log": "recording",
    "compile": "compiling",
    "save": "checkpoints",
    "load": "loading",
    "wait": "waiting",
    "lost": "lost to failures",
}
"""Accounts of every run, beside one a probe, with how a reader knows them."""

_COST: Final = "cost."
_KIND: Final = {
    "device": ("environment.device", pl.String),
    "execution": ("environment.execution", pl.String),
    "model": ("model.name", pl.String),
    "batch_size": ("batch_size", pl.Int64),
    "packing": ("environment.packing", pl.Int64),
}
"""What makes runs comparable in speed: field of `Group`, column, type."""
_MEASURED: Final = {
    "seconds": ("cost.train_s", pl.Float64),
    "images": ("cost.train_images", pl.Float64),
    "flops": ("cost.train_flops", pl.Float64),
    "rate": ("environment.matmul_flops_per_s", pl.Float64),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Seconds that runs spent on one thing, each its share of its cohort's."""

    name: str
    """Such as "train" or "probe.hessian"."""
    runs: int
    """Runs that measured it."""
    total_s: float | None
    """Sum over these runs; None if there are none."""
    share: float | None
    """Of the seconds on all accounts, 0 to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """How fast runs of one kind trained: medians over the runs that measured it."""

    device: str | None
    """Processor: cpu, or the name of the GPU."""
    execution: str | None
    """How training was run on it: eager, graph or compiled."""
    model: str | None
    """Name of the model."""
    batch_size: int | None
    """Images a step."""
    packing: int | None
    """Runs trained side by side in a cohort."""
    runs: int
    """Runs of this kind."""
    images_per_s: float | None
    """train_images / train_s: images a second of all runs of a cohort together, as a
    run's seconds are its share of the cohort's."""
    images_per_s_of_a_run: float | None
    """The same of one run beside the others of its cohort: divided by `packing`."""
    utilisation: float | None
    """train_flops / train_s / matmul_flops_per_s: what the model needs over what a
    matrix product reaches in that time, 0 to about 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What finished runs spent."""

    runs: int
    """Runs with a time on any account."""
    total_s: float
    """Seconds on all accounts."""
    accounts: tuple[Account, ...]
    """Those of `ACCOUNTS` in their order, then the others, the dearest first."""
    groups: tuple[Group, ...]
    """Sorted by kind."""


def label(account: str) -> str:
    """Return how a reader knows an account.

    Example:
        >>> label("train"), label("probe.hessian")
        ('training', 'probe hessian')
    """
    return ACCOUNTS.get(account, account.replace("probe.", "probe ", 1))


def account_columns(names: Iterable[str]) -> dict[str, str]:
    """Return account by column, of the columns that hold seconds.

    Example:
        >>> account_columns(["seed", "cost.train_s", "cost.train_images"])
        {'cost.train_s': 'train'}
    """
    return {
        n: n.removeprefix(_COST).removesuffix("_s")
        for n in names
        if n.startswith(_COST) and n.endswith("_s")
    }


def cost_columns(names: Iterable[str]) -> list[str]:
    """Return the columns that `costs` looks at."""
    named = {column for column, _ in (*_KIND.values(), *_MEASURED.values())}
    return [n for n in names if n in named or account_columns([n])]


def costs(runs: pl.DataFrame) -> Costs:
    """Return what finished runs spent, from columns that may each be absent.

    Example:
        Two runs with cost.train_s (1, 3), cost.eval_s (1, None) and cost.train_images
        (100, 600) spent 0.8 of 5 seconds on training, and saw 150 images a second in
        the median.
    """
    columns = account_columns(runs.columns)
    if not columns:
        return Costs(runs=0, total_s=0.0, accounts=(), groups=())
    runs = runs.with_columns(
        pl.col(*columns).cast(pl.Float64, strict=False).fill_nan(None)
    )
    runs = runs.filter(pl.any_horizontal(pl.col(*columns).is_not_null()))
    totals = {name: float(runs[column].sum()) for column, name in columns.items()}
    counts = {name: int(runs[column].count()) for column, name in columns.items()}
    total = sum(totals.values())
    others = sorted(totals.keys() - ACCOUNTS, key=lambda name: (-totals[name], name))
    return Costs(
        runs=len(runs),
        total_s=total,
        accounts=tuple(
            Account(
                name=name,
                runs=counts.get(name, 0),
                total_s=totals[name] if counts.get(name) else None,
                share=totals[name] / total if counts.get(name) and total else None,
            )
            for name in (*ACCOUNTS, *others)
        ),
        groups=_groups(runs),
    )


def _groups(runs: pl.DataFrame) -> tuple[Group, ...]:
    seconds = pl.when(pl.col("seconds") > 0).then(pl.col("seconds"))
    per_s = pl.col("images") / seconds
    table = (
        runs.select(
            (pl.col(column) if column in runs.columns else pl.lit(None))
            .cast(kind, strict=False)
            .alias(name)
            for name, (column, kind) in (_KIND | _MEASURED).items()
        )
        .group_by(*_KIND)
        .agg(
            pl.len().alias("runs"),
            per_s.median().alias("images_per_s"),
            (per_s / pl.col("packing")).median().alias("images_per_s_of_a_run"),
            (pl.col("flops") / seconds / pl.col("rate")).median().alias("utilisation"),
        )
        .sort(*_KIND, nulls_last=True)
    )
    return tuple(Group(**row) for row in table.to_dicts())


def costs_text(costs: Costs) -> list[str]:
    """Return lines of at most 80 columns; none where nothing was timed."""
    if not costs.runs:
        return []
    rows: list[tuple[str, ...]] = [("spent on", "runs", "seconds", "share")]
    for account in costs.accounts:
        spent = (_number(account.total_s, 2), percent(account.share))
        rows.append((label(account.name)[:44], f"{account.runs or '-'}", *spent))
    rows.append(("in all", f"{costs.runs}", _number(costs.total_s, 2), ""))
    lines = aligned(rows, right=(1, 2, 3))
    places = dict.fromkeys((g.device, g.execution) for g in costs.groups)
    for device, execution in places:
        lines += ["", f"training on {device or '-'}, execution {execution or '-'}"[:80]]
        rows = [("model", "batch", "packing", "runs", "images/s", "of a run", "used")]
        for group in costs.groups:
            if (group.device, group.execution) == (device, execution):
                rows.append(_cells(group))
        lines += aligned(rows, right=range(1, 7))
    if any(group.utilisation is not None for group in costs.groups):
        lines += ["used: operations of the model over a matrix product's in that time"]
    return lines


def _cells(group: Group) -> tuple[str, ...]:
    row = asdict(group)
    counts = (
        f"{row[k]}" if row[k] is not None else "-"
        for k in ("batch_size", "packing", "runs")
    )
    speeds = (_number(row[k], 0) for k in ("images_per_s", "images_per_s_of_a_run"))
    return ((group.model or "-")[:24], *counts, *speeds, percent(group.utilisation))


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:,.{digits}f}"
