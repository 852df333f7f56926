"""The secret twin of a grid: the same design with seeds and rates that a key draws.

A run whose configuration is public can be trained again by anybody, so the runs behind
a leaderboard come from here: `harness generate --key`. Used by `harness.planning`.
"""

import dataclasses
from typing import Final

from harness.secret import keyed
from harness.spec import RunConfig

MARK: Final = "~secret"
"""Follows the grid's name in the label of such runs: "t4~secret/digits"."""
DECADES: Final = 0.25
"""A learning rate moves by less than this, up or down."""
SEED_BITS: Final = 62
"""Length of a seed: never guessed, and exact in every 64-bit integer."""


def secret_twin(config: RunConfig, key: bytes) -> RunConfig:
    """Return the run with the learning rate and the seed that the key draws.

    Formula: lr' = lr * 10^u to 6 digits, u uniform in (-0.25, 0.25) and drawn for the
    family, so that replicates stay replicates; seed' uniform in [0, 2^62), drawn for
    family and seed. Probes and recording change neither.

    Args:
        config: Resolved run of a public grid.
        key: 32 secret bytes, see `harness.secret.read_key`.

    Raises:
        ValueError: The optimizer has no learning rate called `lr`.
    """
    optimizer, family = config.optimizer, config.family_id
    if "lr" not in optimizer.params:
        raise ValueError(
            f"the optimizer {optimizer.name!r} has no argument lr (it has "
            f"{', '.join(optimizer.params) or 'none'}): a key draws learning rates, so "
            "call its rate lr, or train this grid without --key"
        )
    # 52 bits and a half: exact as a float, and never the end of the range
    share = ((_whole(key, "rate", family) >> 12) + 0.5) / 2**52
    rate = optimizer.params["lr"] * 10 ** (DECADES * (2 * share - 1))
    seed = _whole(key, "seed", family, config.seed) >> (64 - SEED_BITS)
    return dataclasses.replace(
        config, optimizer=optimizer.with_params(lr=float(f"{rate:.6g}")), seed=seed
    )


def _whole(key: bytes, *parts: str | int) -> int:
    """Return a whole number below 2^64."""
    return int.from_bytes(keyed(key, *parts)[:8], "big")
