"""What an entry reads decides whom it is ranked against."""

import polars as pl
import pytest

from leaderboard.ranking.pools import POOLS, members, reads
from tasks.prediction import Charge
from tests.tasks.asking import task

SIGNALS = pl.DataFrame(
    {
        "name": ["train_loss", "val_loss", "tail_index", "dirvar", "lambda_1", "odd"],
        "probe": [
            "train",
            "evaluate",
            "gradient_noise",
            "update_direction",
            "hessian",
            "sonar",
        ],
    }
)
KNOWN = SIGNALS.head(5)


@pytest.mark.parametrize(
    ("uses", "kinds", "pool"),
    [
        ((), ("curve",), "curve"),
        (("val_loss",), ("curve",), "curve"),
        (("dirvar",), ("curve", "noise"), "noise"),
        (("lambda_1",), ("curve", "curvature"), "curvature"),
        (("tail_index", "lambda_1"), ("curve", "noise", "curvature"), "curvature"),
        (("not recorded",), ("curve",), "curve"),
        (None, ("curve", "noise", "curvature"), "curvature"),
    ],
)
def test_signals_decide_and_none_means_all_that_is_recorded(uses, kinds, pool):
    found = reads(Charge(signals=uses, settings=False), [task()], KNOWN)
    assert (found.kinds, found.pool, found.unknown) == (kinds, pool, ())


def test_settings_are_the_widest_pool():
    found = reads(Charge(signals=("val_loss",)), [task()], KNOWN)
    assert (found.kinds, found.pool) == (("curve", "settings"), "settings")


def test_what_a_task_does_not_show_is_not_read():
    narrow = task(visibility={"signals": ("val_loss",), "settings": False})
    assert reads(Charge(signals=None), [narrow], SIGNALS).pool == "curve"
    both = reads(Charge(signals=None, settings=False), [narrow, task()], KNOWN)
    assert both.pool == "curvature"


def test_who_reads_no_curve_reads_no_signal():
    blind = Charge(signals=None, curves=False)
    assert reads(blind, [task()], SIGNALS).kinds == ("settings",)
    nothing = reads(Charge(signals=None, curves=False, settings=False), [], SIGNALS)
    assert (nothing.kinds, nothing.pool) == ((), "curve")


def test_an_unknown_probe_is_named_and_in_the_widest_pool():
    found = reads(Charge(signals=("odd",), settings=False), [task()], SIGNALS)
    assert (found.kinds, found.pool) == (("curve",), "settings")
    assert found.unknown == ("sonar",)


def test_pools_are_nested():
    pool_of = ["settings", "curve", "curvature", "noise", "curve"]
    found = [members(pool, pool_of) for pool in POOLS]
    assert found == [[1, 4], [1, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3, 4]]
