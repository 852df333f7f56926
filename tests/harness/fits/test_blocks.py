import numpy as np
import pytest

from harness.fits import blocks
from harness.fits.blocks import Fitted, fit_curves
from harness.measure import DIVERGED, ILL_CONDITIONED, NO_WINDOW, OK, TOO_SHORT
from harness.seeds import stream

T = np.arange(1.0, 11.0)


def fit_mean(loss, window=None, **changes):
    """A fit that reports the mean and the end of its window, and dislikes 7."""

    def prepare(times):
        def fit(y):
            mean = y.mean(axis=1)
            return Fitted(
                {"mean": mean, "end": np.full(len(y), times[-1])},
                {"mean": np.where((y == 5).any(axis=1), np.inf, 0.0)},
                mean == 7,
            )

        return fit

    fields = {
        "estimator": "mean",
        "version": "1",
        "units": {"mean": "nats", "end": "epochs"},
        "errors": ("mean",),
        "min_points": 2,
        "positive": False,
        "params": {},
    }
    return fit_curves(T, loss, window, prepare, **(fields | changes))


def test_windows_are_closed_and_may_differ_from_curve_to_curve(monkeypatch):
    loss = stream(0, "blocks").random((40, 10))
    draw = stream(0, "limits")
    window = np.sort(draw.uniform(0, 12, (40, 2)), axis=1)
    window[3] = (2, 4)
    monkeypatch.setattr(blocks, "READ_ELEMENTS", 70)
    found = fit_mean(loss, window)
    for i, (a, b) in enumerate(window):
        inside = (a <= T) & (b >= T)
        assert found.n[i] == inside.sum()
        if inside.sum() >= 2:
            assert found["mean"][i] == pytest.approx(loss[i, inside].mean())
            assert found["end"][i] == T[inside][-1]
            assert found.window[i].tolist() == [T[inside][0], T[inside][-1]]
        else:
            assert found.status[i] == TOO_SHORT
    assert found.window[3].tolist() == [2, 4]


def test_every_reason_for_a_missing_value_has_its_status():
    loss = np.ones((7, 10))
    loss[1, 4], loss[2, 4], loss[3] = np.nan, -np.inf, 7
    loss[4, 4], loss[5, 0] = 5, np.nan
    window = [[2, 10]] * 6 + [[8, 3]]
    expected = [OK, DIVERGED, DIVERGED, ILL_CONDITIONED, ILL_CONDITIONED, OK, NO_WINDOW]
    assert fit_mean(loss, window).status.tolist() == expected
    zero = np.ones((2, 10))
    zero[1, 4] = 0
    assert fit_mean(zero, positive=True).status.tolist() == [OK, DIVERGED]
    assert fit_mean(zero, (9.5, 9.9)).status.tolist() == [TOO_SHORT] * 2
    assert np.isnan(fit_mean(zero, (9.5, 9.9)).window).all()


def test_the_input_is_never_changed():
    loss = np.asfortranarray(stream(1, "blocks").random((5, 10)))
    before = loss.copy()

    def spoil(times):
        def fit(y):
            assert y.flags.c_contiguous
            y[:] = 0
            return Fitted({"mean": y[:, 0], "end": y[:, 0]}, {"mean": y[:, 0]})

        return fit

    fit_curves(
        T,
        loss,
        None,
        spoil,
        estimator="spoil",
        version="1",
        units={"mean": "1", "end": "1"},
        errors=("mean",),
        min_points=1,
        positive=True,
        params={},
    )
    np.testing.assert_array_equal(loss, before)
