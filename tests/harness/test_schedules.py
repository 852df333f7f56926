"""Schedules against known values and torch.optim.lr_scheduler."""

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler

from harness.registry import SCHEDULES

NAMES = ["const_cool", "constant", "cosine", "step"]


def factors(name, num_steps=20, steps_per_epoch=4, **arguments):
    return SCHEDULES.get(name)(num_steps, steps_per_epoch, **arguments)


def follow(make, num_steps):
    """Return the learning rates of a torch scheduler at updates 1 .. num_steps."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)
    values = []
    for _ in range(num_steps):
        values.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return np.array(values)


def after_warmup(num_warmup, then):
    """A torch scheduler: linear from 1 / W to 1 at update W, then another one."""

    def make(optimizer):
        first = lr_scheduler.LinearLR(
            optimizer,
            start_factor=1 / num_warmup,
            end_factor=1.0,
            total_iters=num_warmup - 1,
        )
        return lr_scheduler.SequentialLR(
            optimizer, [first, then(optimizer)], milestones=[num_warmup]
        )

    return make


def test_the_registered_names_are_known():
    assert SCHEDULES.names() == NAMES


def test_known_values():
    ramp = [0.25, 0.5, 0.75, 1.0]
    assert factors("constant").tolist() == ramp + [1.0] * 16
    assert factors("const_cool").tolist() == [*ramp, *[1.0] * 13, 0.75, 0.5, 0.25]
    expected = [*ramp, *[1.0] * 6, *[0.1] * 5, *[0.01] * 5]
    np.testing.assert_allclose(factors("step"), expected, rtol=1e-15)
    halfway = factors("cosine", 12, 1, warmup_epochs=2)
    np.testing.assert_allclose(
        halfway[[0, 1, 2, 7, 11]],
        [0.5, 1, 1, 0.5, (1 - np.cos(np.pi / 10)) / 2],
        rtol=1e-14,
    )


@pytest.mark.parametrize("num_warmup", [2, 7, 30])
def test_cosine_equals_the_torch_schedulers(num_warmup):
    num_steps = 200
    ours = factors("cosine", num_steps, 1, warmup_epochs=num_warmup)
    theirs = follow(
        after_warmup(
            num_warmup,
            lambda o: lr_scheduler.CosineAnnealingLR(o, num_steps - num_warmup),
        ),
        num_steps,
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_cosine_without_warmup_equals_torch():
    theirs = follow(lambda o: lr_scheduler.CosineAnnealingLR(o, 50), 50)
    ours = factors("cosine", 50, 5, warmup_epochs=0)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)


def test_step_without_warmup_equals_torch():
    theirs = follow(lambda o: lr_scheduler.MultiStepLR(o, [30, 60], gamma=0.3), 100)
    arguments = {"milestones": (0.3, 0.6), "factor": 0.3}
    ours = factors("step", 100, 5, warmup_epochs=0, **arguments)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_step_with_warmup_equals_torch():
    num_warmup, num_steps = 10, 80
    theirs = follow(
        after_warmup(
            num_warmup,
            lambda o: lr_scheduler.MultiStepLR(
                o, [40 - num_warmup, 60 - num_warmup], gamma=0.1
            ),
        ),
        num_steps,
    )
    ours = factors("step", num_steps, 10)
    np.testing.assert_allclose(ours, theirs, rtol=1e-13)


def test_const_cool_without_warmup_equals_torch():
    def make(optimizer):
        return lr_scheduler.SequentialLR(
            optimizer,
            [
                lr_scheduler.ConstantLR(optimizer, factor=1.0),
                lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=25),
            ],
            milestones=[75],
        )

    ours = factors("const_cool", 100, 5, warmup_epochs=0, cooldown_frac=0.25)
    np.testing.assert_allclose(ours, follow(make, 100), rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("warmup_epochs", [0, 0.3, 1, 2.5])
def test_every_update_counts_and_none_exceeds_the_peak(name, warmup_epochs):
    values = factors(name, 37, 5, warmup_epochs=warmup_epochs)
    assert values.shape == (37,)
    assert values.dtype == np.float64
    assert (values > 0).all()
    assert values.max() == 1.0
    num_warmup = round(warmup_epochs * 5)
    if num_warmup:
        assert values[0] == pytest.approx(1 / num_warmup)
        assert values[num_warmup - 1] == 1.0


@pytest.mark.parametrize("name", ["constant", "cosine"])
def test_a_run_may_be_all_warmup(name):
    expected = [0.25, 0.5, 0.75, 1.0]
    np.testing.assert_allclose(factors(name, 4, 4), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("warmup_epochs", "message"),
    [(6, "24 updates, but the run has 20"), (-1, "is -1, expected 0 or more")],
)
def test_an_impossible_warmup_is_refused(name, warmup_epochs, message):
    with pytest.raises(ValueError, match=message):
        factors(name, warmup_epochs=warmup_epochs)


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("const_cool", {"cooldown_frac": 1.5}, "cooldown_frac is 1.5"),
        ("const_cool", {"cooldown_frac": 1}, "overlap in a run of 20"),
        ("step", {"milestones": (0.7, 0.5)}, "increasing shares"),
        ("step", {"milestones": (0.5, 1)}, "increasing shares"),
        ("step", {"factor": 0}, "factor is 0, expected above 0"),
    ],
)
def test_impossible_shapes_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        factors(name, **arguments)
