"""All that a card says of a corpus, computed from its tables and its manifest."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from harness.corpus import Corpus
from harness.foreign import UNKNOWN
from harness.manifest import HIDDEN_TABLES, TABLES
from harness.release.columns import describe
from harness.release.design import Factor, constant, factor, settings, varying
from harness.release.effort import Effort, effort
from harness.release.recorded import SignalFacts, signals
from harness.seed_noise import ACCURACY, SeedNoise, seed_noise

_ENVIRONMENT: Final = "environment."
_OF_DATA: Final = ("environment.data_fingerprint", "environment.num_classes")


class ColumnFacts(NamedTuple):
    """A column of a table."""

    name: str
    type: str
    """Such as "list of float32"."""
    meaning: str
    unit: str
    """ "1" for a pure number, "" for text and flags."""


class TableFacts(NamedTuple):
    """A table as it lies in the corpus."""

    name: str
    rows: int
    bytes: int
    files: tuple[str, ...]
    """Paths within the corpus."""
    columns: tuple[ColumnFacts, ...]


class DataFacts(NamedTuple):
    """A data set that runs were trained on."""

    name: str
    runs: int
    models: tuple[str, ...]
    fingerprints: tuple[str, ...]
    """Digests of its decoded parts; several where runs use several parts."""


class Spread(NamedTuple):
    """Final test accuracies of the runs of an optimizer and a schedule."""

    optimizer: str
    schedule: str
    runs: int
    min: float | None
    median: float | None
    max: float | None


class Shift(NamedTuple):
    """Results on a set of shifted images."""

    name: str
    cells: int | None
    """Pairs of corruption and severity; None where only the mean was told."""
    runs: int
    accuracy: float
    """Mean over runs and cells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """A corpus in numbers; see `gather_facts`."""

    name: str
    """Name of the corpus."""
    schema_version: str
    """Version of the layout of its tables."""
    runcast_version: str
    """Version of the program that wrote them."""
    tables: tuple[TableFacts, ...]
    """Tables in the order of the manifest's contract."""
    statuses: Mapping[str, int]
    """Runs by status."""
    grids: Mapping[str, int]
    """Runs by grid; a run may be in several."""
    shared: int
    """Runs that are in more than one grid."""
    replicates: Mapping[int, int]
    """Families by number of runs."""
    num_steps: tuple[int, int] | None
    """Fewest and most planned updates; None without a finished run."""
    varied: tuple[Factor, ...]
    """Settings that differ between runs."""
    fixed: tuple[Factor, ...]
    """Settings that are the same in all runs."""
    datasets: tuple[DataFacts, ...]
    """What was trained on."""
    environment: tuple[Factor, ...]
    """Versions and machines."""
    effort: Effort
    """What the runs cost."""
    spreads: tuple[Spread, ...]
    """Final test accuracies by optimizer and schedule."""
    accuracy_error: float | None
    """Standard error of the median accuracy as a share of finitely many images."""
    shifts: tuple[Shift, ...]
    """Results on shifted images."""
    signals: tuple[SignalFacts, ...]
    """Signals, without standard errors of others."""
    noise: SeedNoise | None
    """Spread between seeds; None without two families of two scored runs."""
    unscored: int
    """Runs that did not fail and have no final test accuracy."""
    events: Mapping[str, int]
    """Events by kind."""
    origin: Mapping[str, Any] | None
    """Where imported runs come from; None for runs of this harness."""
    blind: Mapping[str, Any] | None
    """What is hidden, in a blind release."""

    @property
    def runs(self) -> int:
        """Rows of the table of runs."""
        return sum(self.statuses.values())

    @property
    def finished(self) -> int:
        """Runs that did not fail."""
        return self.runs - self.statuses.get("failed", 0)

    @property
    def families(self) -> int:
        """Configurations, apart from seed and measurement."""
        return sum(self.replicates.values())

    @property
    def bytes(self) -> int:
        """Size of all tables."""
        return sum(table.bytes for table in self.tables)


def gather_facts(corpus: Corpus) -> Facts:
    """Return the facts of a corpus.

    Raises:
        CorpusError: A table has changed.
        KeyError: A column is described nowhere.

    Cost: reads every table but the values of curves; 100,000 runs take tens of seconds.
    """
    runs = corpus.runs()
    manifest = corpus.manifest
    finished = runs.filter(pl.col("status") != "failed")
    factors = settings(runs)
    origin = manifest.get("origin")
    grids = runs.select(pl.col("grids").explode().drop_nulls()).to_series()
    return Facts(
        name=corpus.name,
        schema_version=manifest["schema_version"],
        runcast_version=manifest["runcast_version"],
        tables=_tables(corpus, imported=origin is not None),
        statuses=_counts(runs["status"]),
        grids=_counts(grids),
        shared=int((runs["grids"].list.len() > 1).sum()),
        replicates=_replicates(runs),
        num_steps=_ends(finished["num_steps"]),
        varied=varying(factors),
        fixed=constant(factors),
        datasets=_datasets(runs),
        environment=_environment(runs),
        effort=effort(runs),
        spreads=_spreads(finished),
        accuracy_error=_accuracy_error(finished),
        shifts=_shifts(corpus, finished),
        signals=signals(corpus),
        noise=seed_noise(finished),
        unscored=int(finished[ACCURACY].is_null().sum()),
        events=_counts(corpus.events()["kind"]),
        origin=origin,
        blind=manifest.get("blind"),
    )


def _counts(values: pl.Series) -> dict[str, int]:
    return {str(k): n for k, n in values.value_counts().sort(values.name).rows()}


def _ends(values: pl.Series) -> tuple[int, int] | None:
    low, high = values.min(), values.max()
    return (low, high) if isinstance(low, int) and isinstance(high, int) else None


def _replicates(runs: pl.DataFrame) -> dict[int, int]:
    sizes = runs.group_by("family_id").len()["len"]
    return {int(k): n for k, n in sizes.value_counts().sort("len").rows()}


def _tables(corpus: Corpus, *, imported: bool) -> tuple[TableFacts, ...]:
    rows, files = corpus.manifest["rows"], corpus.manifest["files"]
    found = []
    for name in (*TABLES, *HIDDEN_TABLES):
        names = tuple(sorted(f for f in files if f.startswith(f"{name}/")))
        if names:
            size = sum(files[f]["bytes"] for f in names)
            columns = _columns(name, corpus.path(names[0]), imported=imported)
            found.append(TableFacts(name, rows[name], size, names, columns))
    return tuple(found)


def _columns(table: str, path: Path, *, imported: bool) -> tuple[ColumnFacts, ...]:
    described = (
        (field, describe(table, field.name, imported=imported))
        for field in pq.read_schema(path)
    )
    return tuple(
        ColumnFacts(field.name, _type(field.type), column.meaning, column.unit)
        for field, column in described
    )


def _type(kind: pa.DataType) -> str:
    if pa.types.is_list(kind):
        return f"list of {_type(kind.value_type)}"
    return {"float": "float32", "double": "float64", "bool": "boolean"}.get(
        str(kind), str(kind)
    )


def _datasets(runs: pl.DataFrame) -> tuple[DataFacts, ...]:
    found: list[DataFacts] = []
    if runs.is_empty():
        return ()  # without a run the table has no columns of settings
    for (name,), part in runs.group_by(["dataset.name"], maintain_order=False):
        models = part["model.name"].drop_nulls().unique().sort().to_list()
        digests: list[str] = []
        if _OF_DATA[0] in part.columns:
            digests = part[_OF_DATA[0]].drop_nulls().unique().sort().to_list()
        label = UNKNOWN if name is None else str(name)
        found.append(DataFacts(label, len(part), tuple(models), tuple(digests)))
    return tuple(sorted(found))


def _environment(runs: pl.DataFrame) -> tuple[Factor, ...]:
    names = [c for c in runs.columns if c.startswith(_ENVIRONMENT)]
    return tuple(factor(runs, name) for name in names if name not in _OF_DATA)


def _spreads(finished: pl.DataFrame) -> tuple[Spread, ...]:
    score = pl.col(ACCURACY)
    names = [pl.col(f"{part}.name") for part in ("optimizer", "schedule")]
    if finished.is_empty() or not finished[ACCURACY].count():
        return ()
    grouped = (
        finished.group_by(names)
        .agg(
            pl.len(),
            score.min(),
            score.median().alias("middle"),
            score.max().alias("top"),
        )
        .sort(names)
    )
    return tuple(Spread(*row) for row in grouped.rows())


def _accuracy_error(finished: pl.DataFrame) -> float | None:
    """Return sqrt(p (1 - p) / n) at the median accuracy p of n images."""
    if "final.test_n" not in finished.columns:
        return None
    p, n = finished[ACCURACY].median(), finished["final.test_n"].median()
    if not isinstance(p, float) or not isinstance(n, float) or not n:
        return None
    if not 0 <= p <= 1:  # imported, and no share of images
        return None
    return float((p * (1 - p) / n) ** 0.5)


def _shifts(corpus: Corpus, finished: pl.DataFrame) -> tuple[Shift, ...]:
    """Return results by set: of the table `ood`, else of the means in `runs`."""
    share = pl.col("correct") / pl.col("n")
    cells = (
        corpus.ood()
        .group_by("set")
        .agg(
            pl.struct("corruption", "severity").n_unique().alias("cells"),
            pl.col("run_id").n_unique().alias("runs"),
            share.mean().alias("accuracy"),
        )
    )
    found = {row[0]: Shift(*row) for row in cells.rows()}
    for column in finished.columns:
        name = column.removeprefix("ood.").removesuffix("_accuracy")
        known = finished[column]
        if f"ood.{name}_accuracy" == column and name not in found and known.count():
            mean = known.mean()
            assert isinstance(mean, float)
            found[name] = Shift(name, None, known.count(), mean)
    return tuple(shift for _, shift in sorted(found.items()))
