"""The learning rates that were planned for runs, whether or not they came to be."""

import json

import numpy as np
import polars as pl

from harness.corpus import Corpus
from harness.early.curves import RATE, Curves32
from harness.errors import DataError
from harness.registry import SCHEDULES


def planned_rates(corpus: Corpus, run_ids: list[str]) -> dict[str, Curves32]:
    """Return the learning rate at every update of runs, `[num_steps]` each.

    What a run did not live to record is taken from a run of its family that did, else
    worked out from its configuration, so that no gap tells how a run ended.

    Args:
        corpus: An open corpus.
        run_ids: Runs that did not fail.

    Raises:
        DataError: The plan of a run is not known.
    """
    names = ["run_id", "family_id", "num_steps", "steps_per_epoch", "config_json"]
    runs = corpus.runs(names)
    families = runs.filter(pl.col("run_id").is_in(run_ids))["family_id"].unique()
    runs = runs.filter(pl.col("family_id").is_in(families.to_list())).sort("run_id")
    runs = runs.filter(pl.col("num_steps") > 0)
    rates = {
        run: np.full(steps, np.nan, np.float32)
        for run, steps in runs.select("run_id", "num_steps").rows()
    }
    curves = corpus.curves([RATE], run_ids=list(rates))
    for run, steps, values in curves.select("run_id", "steps", "values").rows():
        rates[run][np.asarray(steps) - 1] = values
    family_of = dict(runs.select("run_id", "family_id").rows())
    whole = {family_of[run]: x for run, x in rates.items() if np.isfinite(x).all()}
    for row in runs.filter(pl.col("run_id").is_in(run_ids)).iter_rows(named=True):
        run = row["run_id"]
        if not np.isfinite(rates[run]).all():
            known = whole.get(row["family_id"])
            rates[run] = known if known is not None else _configured(row, corpus.name)
    return {run: rates[run] for run in run_ids}


def _configured(row: dict[str, object], name: str) -> Curves32:
    """Return the rates that a configuration of this harness means."""
    config = json.loads(str(row["config_json"]))
    try:
        schedule = dict(config["schedule"])
        make = SCHEDULES.get(schedule.pop("name"))
        steady = config.get("controller", {"name": "none"})["name"] == "none"
        if not steady:
            raise ValueError("a controller sets its rate")
        lists = {k: tuple(v) if isinstance(v, list) else v for k, v in schedule.items()}
        factors = make(row["num_steps"], row["steps_per_epoch"], **lists)
        return np.asarray(config["optimizer"]["lr"] * factors, np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"no run of the family {row['family_id']} of {name} recorded its learning "
            f"rates to the end, and its configuration does not tell them ({error}): "
            "leave the tasks out that show planned rates"
        ) from error
