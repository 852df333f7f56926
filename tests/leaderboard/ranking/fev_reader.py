"""Prints what fev says of a table of errors; run by the Python of its environment."""

import json
import sys
import warnings

import fev.analysis
import pandas as pd


def main() -> None:
    warnings.simplefilter("ignore")
    asked = json.load(sys.stdin)
    rows = [
        {
            "model_name": model,
            "dataset_path": f"task {number:03}",  # fev sorts tasks by name
            "test_error": error,
            "training_time_s": 1.0,
            "inference_time_s": 1.0,
            "fev_version": "0.10.0",
            "trained_on_this_dataset": False,
            "num_forecasts": 1,
        }
        for number, errors in enumerate(asked["errors"])
        for model, error in zip(asked["models"], errors, strict=True)
    ]
    more = {"n_resamples": asked["resamples"], "seed": asked["seed"]}
    table = pd.DataFrame(rows).assign(quantile_levels="[]")
    overall = fev.analysis.leaderboard(table, baseline_model=asked["baseline"], **more)
    pairs = fev.analysis.pairwise_comparison(table, **more)
    columns = [
        f"{name}{end}"
        for name in ("skill_score", "win_rate")
        for end in ("", "_lower", "_upper")
    ]
    found = {
        "version": fev.__version__,
        "overall": {n: overall.loc[n, columns].tolist() for n in asked["models"]},
        "pairs": [
            [a, b, *pairs.loc[(a, b), columns].tolist()]
            for a in asked["models"]
            for b in asked["models"]
        ],
    }
    print(json.dumps(found))  # noqa: T201  read by the test


main()
