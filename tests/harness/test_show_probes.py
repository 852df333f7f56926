import dataclasses
import json
import re

import numpy as np
import pytest

from harness.corpus import Corpus
from harness.fits.plateau import find_plateau
from harness.publish import build
from harness.record import Curve, Event
from harness.schema import Signal
from harness.show import corpus_text, run_figure, run_text
from harness.show.glance import missing_values, with_gaps
from harness.show.probe_panels import Seen, stability_edge
from harness.spec import Part

EPOCHS, PER_EPOCH = 30, 20
STEPS = np.arange(0, EPOCHS * PER_EPOCH + 1, PER_EPOCH)
LAMBDA = 20 * (1 - np.exp(-(STEPS / PER_EPOCH + 1) / 4))
NOISE = 40.0 * (1 + STEPS / PER_EPOCH)
GAP = 7
MEASURED = {
    "hessian": {
        "lambda_1": LAMBDA,
        "hessian_trace": 8 * LAMBDA,
        "hessian_trace_se": LAMBDA,
    },
    "gradient_noise": {
        "noise_scale": NOISE,
        "noise_scale_se": 0.6 * NOISE,
        "gradient_variance": 300 / NOISE,
        "gradient_variance_se": 30 / NOISE,
    },
    "update_direction": {"dirvar": 0.5 + 0 * LAMBDA},
    "sharpness": {"sharpness": 0.1 * LAMBDA},
}
OWN = ["Loss", "Loss, log-log", "Accuracy", "Learning rate", "Gradient norm"]
PANELS = {
    "hessian": ["Curvature"],
    "gradient_noise": ["Gradient noise scale", "Gradient variance, one image"],
    "update_direction": ["Variance of update directions"],
    "sharpness": [],
}


def probed(make_record, probes, **arguments):
    """Return a run of these probes, without one noise scale and any lambda_min."""
    steps = np.arange(1, STEPS[-1] + 1)
    base = make_record(num_steps=int(STEPS[-1]), **arguments)
    curves = {
        "train_loss": (steps, 1.6 * (steps / PER_EPOCH) ** -0.5),
        "lr": (steps, np.full(len(steps), 0.1)),
        "grad_norm": (steps, 1 / steps),
    }
    events, signals, costs = [], [], dict(base.costs) | {"train_images": 6400.0}
    for probe in probes:
        for name, values in MEASURED[probe].items():
            kept = np.arange(len(STEPS)) != (GAP if "noise_scale" in name else -1)
            curves[name] = (STEPS[kept], values[kept])
            signals.append(
                Signal(name=name, meaning=name, unit="1", range="R", probe=probe)
            )
        if probe == "gradient_noise":
            lost = {"noise_scale": "ill_conditioned"}
            detail = {"probe": probe, "signals": lost}
            events.append(Event(int(STEPS[GAP]), "no_value", detail))
        if probe == "hessian":
            signals.append(dataclasses.replace(signals[0], name="lambda_min"))
            lost = {"probe": probe, "signals": {"lambda_min": "ill_conditioned"}}
            events += [Event(int(step), "no_value", lost) for step in STEPS]
        costs |= {
            f"probe.{probe}_s": 0.3,
            f"probe.{probe}_forward_images": 960.0,
            f"probe.{probe}_backward_images": 1920.0,
        }
    arguments = {"update_direction": {"window": 16}}
    parts = (Part(p, arguments.get(p, {}), resolved=True) for p in probes)
    return dataclasses.replace(
        base,
        config=dataclasses.replace(base.config, probes=tuple(parts), epochs=EPOCHS),
        steps_per_epoch=PER_EPOCH,
        curves={
            k: Curve(np.asarray(s, np.int32), np.asarray(v, np.float32))
            for k, (s, v) in curves.items()
        },
        signals=tuple(signals),
        events=tuple(events),
        costs=costs,
    )


@pytest.fixture
def corpus_of(tmp_path, make_record):
    """A function that builds a corpus of one run with these probes."""

    def built(*probes, **arguments):
        probed(make_record, probes, **arguments).save(tmp_path / "shards")
        build(tmp_path, name="probed", grids={})
        return Corpus.open(tmp_path)

    return built


def panel(corpus, title):
    figure = run_figure(corpus, "r-")
    (axes,) = (a for a in figure.axes if a.get_title(loc="left") == title)
    return axes


def line(axes, label):
    (found,) = (x for x in axes.lines if str(x.get_label()).startswith(label))
    return found


def band(collection, steps):
    """Return the lower and upper ends of a band at the given steps."""
    points = np.concatenate([p.vertices for p in collection.get_paths()])
    ends = [points[points[:, 0] == step, 1] for step in steps]
    return np.array([e.min() for e in ends]), np.array([e.max() for e in ends])


@pytest.mark.parametrize(
    "probes",
    [
        (),
        ("sharpness",),
        ("hessian",),
        ("update_direction",),
        ("gradient_noise", "update_direction"),
        ("gradient_noise", "hessian", "update_direction"),
    ],
)
def test_there_are_panels_for_what_was_measured_and_no_others(corpus_of, probes):
    figure = run_figure(corpus_of(*probes), "r-")
    figure.canvas.draw()
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    expected = OWN + [title for probe in probes for title in PANELS[probe]]
    assert sorted(titles) == sorted([*expected, "Accuracy under shift: corrupted"])
    assert all(axes.get_visible() and axes.axison for axes in figure.axes)


def test_no_legend_leaves_its_panel_or_touches_what_is_drawn(corpus_of):
    probes = ("gradient_noise", "hessian", "update_direction")
    figure = run_figure(corpus_of(*probes), "r-")
    figure.canvas.draw()
    checked = 0
    for axes in figure.axes:
        legend = axes.get_legend()
        if legend is None or axes.get_title(loc="left").startswith("Accuracy"):
            continue
        box, frame = legend.get_window_extent(), axes.get_window_extent()
        assert frame.x0 <= box.x0 + 1
        assert box.x1 <= frame.x1 + 1
        assert frame.y0 <= box.y0 + 1
        assert box.y1 <= frame.y1 + 1
        for drawn in axes.lines:
            if drawn.get_transform() == axes.transData:
                points = axes.transData.transform(drawn.get_xydata())
                assert not any(box.contains(*point) for point in points)
        checked += 1
    assert checked >= 4


def test_the_law_is_solid_on_its_window_and_dashed_before_it(corpus_of):
    axes = panel(corpus_of(), "Loss, log-log")
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    means = line(axes, "training loss, epoch means").get_xydata()
    assert len(means) == EPOCHS
    law = line(axes, "power law: exponent 0.50")
    assert law.get_linestyle() == "-"
    x, y = law.get_xydata().T
    np.testing.assert_allclose(y, 1.6 * (x / PER_EPOCH) ** -0.5, rtol=0.01)
    inside = means[means[:, 1] <= 1]
    assert (x[0], x[-1]) == pytest.approx((inside[0, 0], inside[-1, 0]))
    dashed = [a for a in axes.lines if a.get_linestyle() == "--" and len(a.get_xdata())]
    assert dashed[0].get_xdata()[[0, -1]] == pytest.approx([means[0, 0], x[0]])
    assert dashed[1].get_xdata()[[0, -1]] == pytest.approx([x[-1], STEPS[-1]])


def test_curvature_is_drawn_as_it_was_measured(corpus_of):
    axes = panel(corpus_of("hessian"), "Curvature")
    largest, trace = line(axes, "largest eigenvalue"), line(axes, "trace")
    np.testing.assert_array_equal(largest.get_xdata(), STEPS)
    np.testing.assert_allclose(largest.get_ydata(), LAMBDA, rtol=1e-6)
    np.testing.assert_allclose(trace.get_ydata(), 8 * LAMBDA, rtol=1e-6)
    low, high = band(axes.collections[0], STEPS)
    np.testing.assert_allclose(low, 7 * LAMBDA, rtol=1e-6)
    np.testing.assert_allclose(high, 9 * LAMBDA, rtol=1e-6)
    found = find_plateau(STEPS / PER_EPOCH, LAMBDA[None])
    start, level = found["t_plateau"][0], found["lambda"][0]
    mark = line(axes, f"plateau from epoch {start:.1f}: {level:.3g}")
    np.testing.assert_allclose(mark.get_ydata(), level, rtol=1e-6)
    assert mark.get_xdata()[1] == found["t_known"][0] * PER_EPOCH
    middle = np.mean(STEPS[mark.get_xdata()[0] <= STEPS][: found.params["points"]])
    assert middle == start * PER_EPOCH


def test_a_missing_value_is_a_gap(corpus_of):
    corpus = corpus_of("gradient_noise")
    axes = panel(corpus, "Gradient noise scale")
    assert axes.get_yscale() == "log"
    drawn = line(axes, "noise scale")
    np.testing.assert_array_equal(drawn.get_xdata(), STEPS)
    expected = np.where(np.arange(len(STEPS)) == GAP, np.nan, NOISE)
    np.testing.assert_allclose(drawn.get_ydata(), expected, rtol=1e-6)
    assert line(axes, "batch size 32").get_ydata() == [32, 32]
    low, high = band(axes.collections[0], np.delete(STEPS, GAP))
    np.testing.assert_allclose(low[4:], np.delete(0.4 * NOISE, GAP)[4:], rtol=1e-6)
    np.testing.assert_allclose(high[:15], np.delete(1.6 * NOISE, GAP)[:15], rtol=1e-6)
    assert len(axes.collections[0].get_paths()) == 2


def test_gaps_stand_where_events_say_so(corpus_of):
    corpus = corpus_of("gradient_noise")
    run_id = corpus.runs()["run_id"][0]
    missing = missing_values(corpus, run_id)
    assert missing == {"noise_scale": {int(STEPS[GAP]): "ill_conditioned"}}
    curves = {"a": (np.array([1.0, 3.0]), np.array([5.0, 6.0]))}
    steps, values = with_gaps(curves, {"a": {2: "diverged"}}, "a")
    np.testing.assert_array_equal(steps, [1, 2, 3])
    np.testing.assert_array_equal(values, [5, np.nan, 6])
    assert missing_values(corpus, "r-none") == {}


def test_update_directions_stand_beside_independent_ones(corpus_of):
    axes = panel(corpus_of("update_direction"), "Variance of update directions")
    np.testing.assert_allclose(axes.lines[0].get_ydata(), 0.5)
    floor = line(axes, "16 independent updates")
    assert floor.get_ydata() == [0.75, 0.75]


@pytest.mark.parametrize(("momentum", "nesterov"), [(0, 0), (0.9, 0), (0.9, 1)])
def test_beyond_the_edge_of_stability_a_quadratic_diverges(momentum, nesterov):
    rate, decay = 0.1, 0.01
    arguments = {"momentum": momentum, "nesterov": nesterov, "l2": decay}
    config = json.dumps({"optimizer": {"name": "sgd", **arguments}})
    curves = {"lr": (np.array([1.0, 2.0]), np.array([rate, 0.0]))}
    steps, edge = stability_edge(Seen({"config_json": config}, curves, {}))
    assert steps.tolist() == [1]
    for factor, grows in ((0.999, False), (1.001, True)):
        x, buffer = 1e-3, 0.0
        for _ in range(30_000):
            gradient = (edge[0] * factor + decay) * x
            buffer = momentum * buffer + gradient
            x -= rate * (gradient + momentum * buffer if nesterov else buffer)
            if abs(x) > 1:
                break
        assert (abs(x) > 1) == grows


def test_the_edge_is_drawn_for_sgd_where_the_axis_reaches_it(corpus_of):
    axes = panel(corpus_of("hessian"), "Curvature")
    edge = line(axes, "edge of stability").get_ydata()
    np.testing.assert_allclose(edge, 20.0, rtol=1e-6)  # no momentum: 2 / 0.1


def test_other_optimizers_have_no_edge(corpus_of):
    axes = panel(corpus_of("hessian", optimizer="adamw"), "Curvature")
    assert "edge" not in " ".join(str(x.get_label()) for x in axes.lines)


def test_the_run_text_lists_signals_and_prices_by_probe(corpus_of):
    corpus = corpus_of("hessian", "gradient_noise")
    text = run_text(corpus, "r-", blocks=False)
    assert text.isascii()
    assert max(map(len, text.splitlines())) <= 80
    plain, hessian, noise = re.split(r"probe (?:hessian|gradient_noise) ", text)
    assert "lambda_1" not in plain
    row = re.search(r"^  lambda_1 +31 +(\S+) +(\S+)  ", hessian, re.MULTILINE)
    ends = [float(x) for x in row.groups()]
    assert ends == pytest.approx([LAMBDA[0], LAMBDA[-1]], rel=1e-3)
    assert re.search(r"^  lambda_min +0 +- +-$", hessian, re.MULTILINE)
    assert "no value: lambda_min ill_conditioned 31x" in hessian
    row = re.search(r"^  noise_scale +30 +40 +1240 +7.4e\+02 ", noise, re.MULTILINE)
    assert row
    assert "no value: noise_scale ill_conditioned 1x" in noise
    # (960 + 2 * 1920) / (3 * 6400) = 25 %, 0.3 s / 1.5 s = 20 %
    for name in ("hessian", "gradient_noise"):
        price = rf"^  {name} +0.3 +20.0 +960 +1,920 +25.0$"
        assert re.search(price, text, re.MULTILINE)
    assert re.search(r"^  training +1.5 +100.0 +6,400", text, re.MULTILINE)
    assert re.search(r"^seconds +train=1.5 eval=0.25 log=0.01$", text, re.MULTILINE)


def test_the_corpus_text_prices_every_probe(corpus_of):
    text = corpus_text(corpus_of("hessian", "gradient_noise"), blocks=False)
    assert max(map(len, text.splitlines())) <= 80
    row = r"^  hessian +25.0 +20.0  lambda_1 hessian_trace lambda_min$"
    assert re.search(row, text, re.MULTILINE)
    row = r"^  gradient_noise +25.0 +20.0  noise_scale gradient_variance$"
    assert re.search(row, text, re.MULTILINE)


def test_without_probes_no_text_speaks_of_them(corpus_of):
    corpus = corpus_of()
    assert "price" not in corpus_text(corpus)
    assert "prob" not in run_text(corpus, "r-")
