"""Laws fitted to files: known answers, statuses, scores apart, the figure."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from harness.fits.multi_power import MultiPower, multi_power_law
from harness.fits.multi_power_fit import ScheduledCurve, fit_multi_power
from harness.fitting.answer import document, fit_files, save_parameters
from harness.fitting.figure import fit_figure
from harness.fitting.request import Request
from harness.seeds import stream

T = np.arange(10, 4001, 10)
LAW = MultiPower(0.3, 4.0, 0.5, 1.5, 2.0, 0.6, 0.65)


def write(path: Path, **columns) -> Path:
    table = pl.DataFrame({name: np.asarray(c) for name, c in columns.items()})
    if path.suffix == ".parquet":
        table.write_parquet(path)
    else:
        table.write_csv(path)
    return path


def noise(size: float, num: int = len(T), name: str = "noise") -> np.ndarray:
    return np.exp(size * stream(0, "test-fitting/" + name).standard_normal(num))


def value(answer, name: str, fit: int = 0) -> float:
    return answer.fits[fit].values[name]


def bent(t, knee):
    return np.where(t < knee, (t / knee) ** -0.9, (t / knee) ** -0.4)


CURVES = {
    "power": (lambda t: 2.0 * t**-0.5, {"alpha": 0.5, "log_c": np.log(2.0)}),
    "shifted-power": (
        lambda t: 0.3 + 5.0 * t**-0.7,
        {"E": 0.3, "A": 5.0, "alpha": 0.7},
    ),
    "two-segment": (
        lambda t: 0.8 * bent(t, 200.0),
        {"alpha_1": 0.9, "alpha_2": 0.4, "t_knee": 200.0, "loss_knee": 0.8},
    ),
}


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
@pytest.mark.parametrize("law", CURVES)
def test_curves_of_a_law_give_its_parameters_back(tmp_path, law, suffix):
    curve, truth = CURVES[law]
    one = write(tmp_path / f"one{suffix}", step=T, loss=curve(T))
    two = write(tmp_path / f"two{suffix}", step=T, loss=curve(T), lr=T * np.nan)
    answer = fit_files(Request(law=law, train=(one,), test=(two,)))
    assert [fit.file for fit in answer.fits] == [str(one), str(two)]
    assert [fit.status for fit in answer.fits] == ["ok", "ok"]
    assert [fit.n for fit in answer.fits] == [400, 80]  # 0.2 of the updates
    for fit in answer.fits:
        assert dict(fit.values) == pytest.approx(truth, rel=1e-6)
    train, test = answer.scored
    np.testing.assert_allclose(train.predicted, curve(T), rtol=1e-6)
    assert test.scored.sum() == 320
    assert test.errors().mae < 1e-6


def test_a_forecast_is_scored_beyond_its_window_only(tmp_path):
    loss = 2.0 * T**-0.5 * noise(0.02)
    path = write(tmp_path / "a.csv", step=T, loss=loss)
    answer = fit_files(Request(law="power", test=(path,), until=0.5))
    early = T <= 2000
    slope, height = np.polyfit(np.log(T[early]), np.log(loss[early]), 1)
    assert value(answer, "alpha") == pytest.approx(-slope)
    off = loss[~early] - np.exp(height) * T[~early] ** slope
    found = document(answer)["test"]["files"][0]
    assert (found["rows"], found["scored"]) == (400, 200)
    assert found["mae"] == pytest.approx(np.abs(off).mean())
    assert found["rmse"] == pytest.approx(np.sqrt((off**2).mean()))
    assert found["pred_e"] == pytest.approx((np.abs(off) / loss[~early]).mean())
    assert found["worst_e"] == pytest.approx((np.abs(off) / loss[~early]).max())
    r2 = 1 - (off**2).sum() / ((loss[~early] - loss[~early].mean()) ** 2).sum()
    assert found["r2"] == pytest.approx(r2)


def test_what_comes_after_the_window_does_not_change_the_forecast(tmp_path):
    loss = 2.0 * T**-0.5 * noise(0.02)
    other = np.where(T > 800, 7.0 * noise(0.5, name="hidden"), loss)
    paths = [
        write(tmp_path / f"{i}.csv", step=T, loss=c)
        for i, c in enumerate((loss, other))
    ]
    for law in CURVES:
        one, two = fit_files(Request(law=law, test=tuple(paths))).scored
        np.testing.assert_array_equal(one.predicted, two.predicted)


def test_too_short_a_beginning_has_a_status_and_no_number(tmp_path):
    path = write(tmp_path / "a.csv", step=T[:20], loss=T[:20] ** -0.5)
    found = document(fit_files(Request(law="power", test=(path,))))
    assert found["fits"][0]["status"] == "too_short"
    assert found["fits"][0]["parameters"] == {}
    row = found["test"]["files"][0]
    assert (row["status"], row["scored"], row["mae"]) == ("too_short", 0, None)
    assert found["test"]["mean"] == dict.fromkeys(
        ("r2", "mae", "rmse", "pred_e", "worst_e")
    ) | {"files": 0}


@pytest.mark.parametrize("first_step", [0, 1])
def test_updates_are_counted_from_the_first_step(tmp_path, first_step):
    path = write(tmp_path / "a.csv", step=T - 1 + first_step, loss=2.0 * T**-0.5)
    request = Request(law="power", train=(path,), first_step=first_step)
    assert value(fit_files(request), "alpha") == pytest.approx(0.5, abs=1e-12)


UPDATES, WARMUP = 3000, 100
SHARE = np.linspace(0, 1, UPDATES - WARMUP)
DECAYS = {
    "cosine": 0.05 + 0.95 * (1 + np.cos(np.pi * SHARE)) / 2,
    "constant": np.ones(len(SHARE)),
    "two": np.where(SHARE < 0.5, 1.0, 0.3),
    "three": np.select([SHARE < 0.3, SHARE < 0.6], [1.0, 0.5], 0.05),
    "line": 1 - 0.95 * np.maximum(SHARE - 0.7, 0) / 0.3,
}


def rates_of(name: str) -> np.ndarray:
    return np.r_[np.linspace(0, 1, WARMUP), DECAYS[name]]


def stages(rates: np.ndarray, first: int, last: int) -> np.ndarray:
    """Updates in a range that are the first of a stage."""
    begin = np.flatnonzero(np.abs(np.diff(rates)) > 0.1) + 2
    return begin[(begin >= first) & (begin <= last)]


def scheduled(folder: Path, name: str, first: int = 150, last: int = UPDATES) -> Path:
    """A file of the law, a row every 10 updates and where a stage begins."""
    rates = rates_of(name)
    at = np.union1d(np.arange(first, last + 1, 10), stages(rates, first, last))
    loss = multi_power_law(LAW, rates, at) * noise(0.001, len(at), name)
    return write(folder / f"{name}.csv", step=at, lr=rates[at - 1], loss=loss)


def exactly(path: Path) -> ScheduledCurve:
    """The curve of a file with the rates that made it."""
    rows = pl.read_csv(path)
    return ScheduledCurve(
        rates=rates_of(path.stem),
        at=rows["step"].to_numpy(),
        loss=rows["loss"].to_numpy(),
    )


def test_multi_power_forecasts_the_curve_of_another_schedule(tmp_path):
    train = tuple(scheduled(tmp_path, n) for n in ("cosine", "constant", "three"))
    test = (scheduled(tmp_path, "line"), scheduled(tmp_path, "two"))
    answer = fit_files(
        Request(law="multi-power", train=train, test=test, warmup_steps=WARMUP)
    )
    (fit,) = answer.fits
    assert fit.status == "ok"
    exact = fit_multi_power([exactly(path) for path in train])
    for name in ("l0", "a", "alpha", "b", "beta", "gamma"):
        off = fit.values[name] - exact[name][0]
        assert abs(off) < 0.05 * exact.errors[name][0]
    found = document(answer)
    losses = pl.concat([pl.read_csv(path) for path in test])["loss"]
    assert found["test"]["mean"]["mae"] < 0.0015 * losses.mean()
    mean = np.mean([row["mae"] for row in found["test"]["files"]])
    assert found["test"]["mean"]["mae"] == pytest.approx(mean)


@pytest.mark.parametrize(
    ("names", "last", "status"),
    [
        (["cosine"], UPDATES // 5, "ill_conditioned"),
        (["constant"], UPDATES, "ill_conditioned"),
        (["cosine"], 200, "too_short"),
    ],
)
def test_curves_that_do_not_fix_the_law_give_no_number(tmp_path, names, last, status):
    train = tuple(scheduled(tmp_path, name, last=last) for name in names)
    answer = fit_files(Request(law="multi-power", train=train))
    assert answer.fits[0].status == status
    assert not answer.fits[0].values
    assert answer.scored[0].errors() is None
    assert "add curves of other schedules" in answer.notes[0]
    assert not save_parameters(answer, tmp_path / "none.json")
    assert not (tmp_path / "none.json").exists()
    assert "no law" in fit_figure(answer).axes[0].get_legend().get_texts()[1].get_text()


def test_test_rows_that_were_trained_on_are_scored_apart(tmp_path):
    train = tuple(scheduled(tmp_path, n) for n in ("cosine", "constant", "three"))
    branch = pl.read_csv(train[1]).with_row_index()
    late = pl.col("index") >= 200
    loss = pl.when(late).then(pl.col("loss") * 1.01).otherwise("loss")
    test = tmp_path / "branch.csv"
    branch.with_columns(loss.alias("loss")).drop("index").write_csv(test)
    answer = fit_files(Request(law="multi-power", train=train, test=(test,)))
    s = answer.scored[-1]
    np.testing.assert_array_equal(s.known, np.arange(branch.height) < 200)
    found = document(answer)["test"]
    assert found["files"][0]["unseen"]["scored"] == branch.height - 200
    apart = np.abs(s.loss - s.predicted)[200:].mean()
    assert found["mean_unseen"]["mae"] == pytest.approx(apart)
    assert found["mean"]["mae"] < found["mean_unseen"]["mae"]


def test_rows_before_the_first_rate_above_zero_are_left_out(tmp_path):
    rates, at = rates_of("cosine"), np.arange(1, UPDATES, 5)
    loss = multi_power_law(LAW, rates, np.maximum(at, 2))
    path = write(tmp_path / "a.csv", step=at, lr=rates[at - 1], loss=loss)
    params = tmp_path / "p.json"
    params.write_text(json.dumps({"law": "multi-power", "parameters": LAW._asdict()}))
    answer = fit_files(Request(law="multi-power", test=(path,), params=params))
    assert len(answer.scored[0].loss) == len(at) - 1
    assert "1 rows before the first rate above 0 left out" in answer.scored[0].note
    # a row every 5 updates fixes these rates up to the curvature of the cosine
    assert answer.scored[0].errors().mae < 1e-4


TRUTH = {"kappa": 1.3, "k": 0.8, "e0": 0.1, "e1": 0.35}
L0 = np.linspace(0.35, 1.6, 40)
L1 = 0.8 * (L0 - 0.1) ** 1.3 + 0.35


@pytest.mark.parametrize("key", ["tokens", "step"])
def test_two_losses_are_paired_by_tokens_or_step(tmp_path, key):
    order = stream(0, "test-fitting/order").permutation(40)
    place = 1000 * np.arange(1, 41)
    a = write(tmp_path / "a.csv", **{key: place}, loss=L0)
    b = write(tmp_path / "b.csv", loss=L1[order][5:], **{key: place[order][5:]})
    answer = fit_files(Request(law="loss-to-loss", train=(a, b)))
    assert dict(answer.fits[0].values) == pytest.approx(TRUTH, abs=1e-4)
    (s,) = answer.scored
    assert (s.file, len(s.loss)) == (f"{a} -> {b}", 35)
    assert s.note == f"paired by {key}; 5 rows without a partner"
    assert s.errors().mae < 1e-6


def test_tokens_come_before_steps_and_one_file_may_hold_both_losses(tmp_path):
    place = np.arange(1, 41)
    a = write(tmp_path / "a.csv", step=place[::-1], tokens=place, loss=L0)
    b = write(tmp_path / "b.csv", step=place, tokens=place, loss=L1)
    c = write(tmp_path / "c.csv", l0=L0 + 0.2, l1=0.8 * (L0 + 0.1) ** 1.3 + 0.35)
    request = Request(law="loss-to-loss", train=(a, b), test=(c,), e0=0.1, e1=0.35)
    answer = fit_files(request)
    assert dict(answer.fits[0].values) == pytest.approx(TRUTH, rel=1e-12)
    assert set(answer.fits[0].errors) == {"kappa", "k"}
    assert answer.scored[1].errors().worst_e < 1e-12
    half = fit_files(Request(law="loss-to-loss", train=(a, b), e0=0.1))
    assert dict(half.fits[0].values) == pytest.approx(TRUTH, rel=1e-6)


def test_pairs_below_the_floor_are_not_scored_and_counted(tmp_path):
    a = write(tmp_path / "a.csv", l0=L0, l1=L1)
    b = write(tmp_path / "b.csv", l0=[0.3, 0.4, 1.0, 1.5], l1=[0.4, 0.5, 1.0, 1.5])
    request = Request(law="loss-to-loss", train=(a,), test=(b,), e0=0.35, e1=0.3)
    answer = fit_files(request)
    assert answer.fits[0].diagnostics["excluded"] == 1  # L0 is 0.35 there
    s = answer.scored[1]
    assert s.scored.tolist() == [False, True, True, True]
    assert s.note == "1 rows with L0 below e0, where there is no law"
    found = document(answer)["test"]["files"][0]
    assert (found["rows"], found["scored"]) == (4, 3)
    np.testing.assert_allclose(found["mae"], np.abs(s.loss - s.predicted)[1:].mean())


def test_free_floors_of_a_straight_line_have_no_number(tmp_path):
    path = write(tmp_path / "a.csv", l0=L0, l1=0.4 + 0.8 * L0)
    answer = fit_files(Request(law="loss-to-loss", train=(path,)))
    assert answer.fits[0].status == "ill_conditioned"
    assert not answer.fits[0].values
    assert "--e0 and --e1 hold them" in answer.notes[0]


def test_the_published_loss_to_loss_fits_come_from_files(shared_data, tmp_path):
    folder = shared_data / "loss_to_loss"
    sweep = pl.read_csv(folder / "sweep_val_loss.csv").rename({"val_loss": "loss"})
    fits = pl.read_csv(folder / "published_fits.csv").rows(named=True)
    assert len(fits) == 10
    for row in fits:
        paths = []
        for name in (row["data_0"], row["data_1"]):
            paths.append(tmp_path / f"{name}.csv")
            sweep.filter(data=name).select("tokens", "loss").write_csv(paths[-1])
        answer = fit_files(
            Request(
                law="loss-to-loss", train=tuple(paths), e0=row["E_0"], e1=row["E_1"]
            )
        )
        assert value(answer, "kappa") == pytest.approx(row["kappa"], abs=1e-10)
        assert value(answer, "k") == pytest.approx(row["K"], abs=1e-10)


@pytest.mark.parametrize("law", [*CURVES, "loss-to-loss"])
def test_saved_parameters_give_the_same_scores_without_a_fit(tmp_path, law):
    if law in CURVES:
        one = write(tmp_path / "1.csv", step=T, loss=CURVES[law][0](T) * noise(0.01))
        two = write(tmp_path / "2.csv", step=T, loss=CURVES[law][0](T) * noise(0.02))
    else:
        one = write(tmp_path / "1.csv", l0=L0, l1=L1 * noise(0.001, 40))
        two = write(tmp_path / "2.csv", l0=L0, l1=L1 * noise(0.002, 40))
    fitted = fit_files(Request(law=law, train=(one,), test=(two,)))
    saved = tmp_path / "params.json"
    assert save_parameters(fitted, saved)
    given = fit_files(Request(law=law, train=(one,), test=(two,), params=saved))
    assert {fit.status for fit in given.fits} == {"given"}
    for a, b in zip(fitted.scored, given.scored, strict=True):
        np.testing.assert_array_equal(a.predicted, b.predicted)
        assert a.errors() == b.errors()


def test_one_set_of_parameters_serves_all_files(tmp_path):
    paths = [write(tmp_path / f"{i}.csv", step=T, loss=2.0 * T**-0.5) for i in "ab"]
    params = tmp_path / "p.json"
    params.write_text(
        json.dumps({"law": "power", "parameters": {"alpha": 0.5, "log_c": np.log(2)}})
    )
    answer = fit_files(Request(law="power", test=tuple(paths), params=params))
    assert [s.errors().mae < 1e-12 for s in answer.scored] == [True, True]


def test_the_figure_shows_the_data_and_the_law(tmp_path):
    curve = CURVES["power"][0]
    one = write(tmp_path / "one.csv", step=T, loss=curve(T) * noise(0.02))
    two = write(tmp_path / "two.csv", step=T, loss=curve(T) * noise(0.01))
    answer = fit_files(Request(law="power", train=(one,), test=(two,)))
    axes = fit_figure(answer).axes
    assert [a.get_title("left") for a in axes[:2]] == ["Training files", "Test files"]
    for s, above, below in zip(answer.scored, axes[:2], axes[2:], strict=True):
        points, *laws = above.get_lines()
        np.testing.assert_array_equal(points.get_xdata(), T)
        np.testing.assert_array_equal(points.get_ydata(), s.loss)
        drawn = [line for line in laws if len(line.get_xdata())]
        joined = np.nanmax([line.get_ydata() for line in drawn], axis=0)
        np.testing.assert_array_equal(joined, s.predicted)
        rest = below.get_lines()[0]
        np.testing.assert_array_equal(rest.get_xdata(), T[s.scored])
        beyond = 100 * (s.loss / s.predicted - 1)[s.scored]
        np.testing.assert_allclose(rest.get_ydata(), beyond, atol=1e-12)
    forecast = axes[1].get_lines()[2].get_ydata()
    assert np.isnan(forecast).sum() == 80  # dashed beyond the window only
