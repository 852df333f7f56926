"""Learning rates of whole runs, as far as they are recorded."""

from collections.abc import Sequence

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import RATE, Curves32
from harness.hidden_rows import PLANNED


def known_rates(corpus: Corpus, run_ids: Sequence[str]) -> dict[str, Curves32]:
    """Return the learning rate at every update of runs, `[num_steps]` each.

    A run that diverged recorded only a part of it; the plan goes on where a run of its
    family recorded all of it, else the rates are NaN from there on.

    Args:
        corpus: An open corpus.
        run_ids: Runs that did not fail.
    """
    runs = corpus.runs(["run_id", "family_id", "num_steps"])
    asked = pl.col("run_id").is_in(list(run_ids))
    families = runs.filter(asked)["family_id"].drop_nulls().unique()
    kin = asked | pl.col("family_id").is_in(families.to_list()).fill_null(False)
    rows = runs.filter(kin & (pl.col("num_steps") > 0)).sort("run_id").rows()
    rates = {run: np.full(steps, np.nan, np.float32) for run, _, steps in rows}
    table = corpus.curves([RATE, PLANNED], run_ids=list(rates))
    for run, steps, values in table.select("run_id", "steps", "values").rows():
        rates[run][np.asarray(steps) - 1] = values
    whole = {f: rates[r] for r, f, _ in rows if f and np.isfinite(rates[r]).all()}
    family_of = {run: family for run, family, _ in rows}
    return {
        run: rates[run]
        if np.isfinite(rates[run]).all()
        else whole.get(family_of[run], rates[run])
        for run in run_ids
    }
