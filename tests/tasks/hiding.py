"""What is hidden, replaced; and all that is shown, as bytes."""

import dataclasses
import pickle

import numpy as np


def scrambled(share: float):
    """Return a change that replaces all that lies after a share of the run, and ends.

    Learning rates stay: they are planned, and tasks may show them.
    """
    numbers = np.random.default_rng(0)

    def change(one):
        curves = {}
        for name, curve in one.curves.items():
            hidden = curve.steps > share * one.num_steps
            values = curve.values.copy()
            if name != "lr":
                values[hidden] = numbers.random(hidden.sum())
            curves[name] = curve._replace(values=values)
        return dataclasses.replace(
            one,
            curves=curves,
            final={k: int(numbers.integers(1, 99)) for k in one.final},
            ood=tuple(c._replace(correct=int(numbers.integers(9))) for c in one.ood),
            costs={k: float(numbers.random()) for k in one.costs},
            environment={"torch": "9.9"},
        )

    return change


def contents(seen) -> bytes:
    """Return every byte that a predictor could read."""
    blocks = [
        (
            block.run_ids,
            block.num_steps,
            block.loss.tobytes(),
            block.rate.tobytes(),
            [
                (
                    name,
                    c.unit,
                    c.offsets.tobytes(),
                    c.steps.tobytes(),
                    c.values.tobytes(),
                )
                for name, c in block.recorded.items()
            ],
        )
        for block in seen.blocks
    ]
    planned = [None if rates is None else rates.tobytes() for rates in seen.planned]
    tables = (seen.settings.to_dicts(), seen.early.to_dicts())
    return pickle.dumps((seen.asked, seen.ids, tables, blocks, planned))
