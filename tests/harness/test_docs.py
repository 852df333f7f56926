"""The documents name every signal there is, and none that is not."""

import re
from pathlib import Path

import pytest
import torch

from harness.cadence import Timeline
from harness.cohort import CohortNet
from harness.probes.base import Scene
from harness.registry import CURVE_SIGNALS, PROBES
from harness.spec import Part
from tests.harness.toy import toy_data, toy_run

PAGE = (Path(__file__).parents[2] / "docs" / "signals.md").read_text()
PROBED, COMPUTED = PAGE.split("## Computed from the recorded curves")


def names_in(text: str, column: int) -> set[str]:
    """Return the words in backquotes in a column of all tables of a text."""
    rows = (line.split("|") for line in text.splitlines() if line.startswith("|"))
    return {n for row in rows for n in re.findall(r"`([^`]+)`", row[column])}


@pytest.mark.parametrize("name", PROBES.names())
def test_every_signal_of_a_probe_is_described(name):
    run, data = toy_run(), toy_data(num_train=512)
    net = CohortNet(
        run.model,
        [0],
        data.in_shape,
        data.num_classes,
        device=torch.device("cpu"),
    )
    scene = Scene(cohort=[run], net=net, data=data, timeline=Timeline(6400, 128))
    probe = PROBES.get(name)(scene, **Part(name).resolve(PROBES).params)
    table = PROBED.split("### Choosing probes")[0]
    assert name in names_in(table, 1)
    assert {signal.name for signal in probe.signals} <= names_in(table, 2)


def test_every_probe_has_a_price():
    prices = PROBED.split("### What probes cost")[1]
    assert set(PROBES.names()) <= names_in(prices, 1)


def test_every_curve_signal_is_described():
    described = {name.split("/")[0] for name in names_in(COMPUTED, 1)}
    assert described == set(CURVE_SIGNALS.names())
