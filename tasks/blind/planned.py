"""The learning rates that were planned for runs, whether or not they came to be."""

import json

import numpy as np

from harness.corpus import Corpus
from harness.early.curves import Curves32
from harness.errors import DataError
from harness.registry import SCHEDULES
from tasks.planned import known_rates


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
    rates = known_rates(corpus, run_ids)
    unknown = [run for run in run_ids if not np.isfinite(rates[run]).all()]
    names = ["run_id", "family_id", "num_steps", "steps_per_epoch", "config_json"]
    for row in corpus.runs(names).iter_rows(named=True) if unknown else ():
        if row["run_id"] in unknown:
            rates[row["run_id"]] = _configured(row, corpus.name)
    return rates


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
