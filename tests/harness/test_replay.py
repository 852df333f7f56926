"""What is compared of two records, what is said of it, and which runs are refused."""

import dataclasses
import shutil

import numpy as np
import polars as pl
import pytest

from harness import replay
from harness.errors import CorpusError
from harness.foreign import ForeignConfig
from harness.record import Curve, RunRecord


def test_curves_are_compared_by_step_and_bit(make_record):
    record = make_record()
    nan, other_nan = np.array([0x7FC00000, 0x7FC00001], np.uint32).view(np.float32)
    steps = np.array([1, 2, 4, 5, 6], np.int32)
    mine = np.array([2.0, 0.0, nan, -0.5, nan], np.float32)
    theirs = np.array([2.5, -0.0, other_nan, -0.25, nan], np.float32)
    one = dataclasses.replace(record, curves={"x": Curve(steps, mine)})
    other = dataclasses.replace(
        record, curves={"x": Curve(np.append(steps, 9), np.append(theirs, 1.0))}
    )
    x = replay.compare(one, other)[0]
    # 2.0 to 2.5, 0.0 to -0.0, two NaN, -0.5 to -0.25; the last NaN agrees; no step 9
    assert (x.signal, x.values, x.same, x.first_step) == ("x", 6, 1, 1)
    assert x.first == ("2.0", "2.5")
    assert (x.max_abs, x.max_rel) == (0.5, 0.5)
    shorter = dataclasses.replace(one, curves={"x": Curve(steps[:4], mine[:4])})
    x = replay.compare(one, shorter)[0]
    assert (x.values, x.same, x.first_step) == (5, 4, 6)
    assert x.first == ("nan", "no value")
    assert (x.max_abs, x.max_rel) == (None, None)


def test_scores_events_and_the_outcome_are_compared_at_the_end(make_record):
    record = make_record(status="diverged")
    moved = record.events[0]._replace(step=7)
    cells = (record.ood[0]._replace(loss=None), *record.ood[1:])
    other = dataclasses.replace(
        record, events=(moved,), diverged_step=7, ood=cells, final={"test_n": 200}
    )
    wrong = {s.signal: s for s in replay.compare(record, other) if not s.agrees}
    assert set(wrong) == {
        "events",
        "outcome",
        "ood.corrupted.loss",
        "final.test_correct",
    }
    assert wrong["events"].first_step == 7
    assert wrong["outcome"].first == (
        f"diverged_step {record.diverged_step}",
        "diverged_step 7",
    )
    cell = record.ood[0]
    assert wrong["ood.corrupted.loss"].first == (
        f"{cell.corruption} {cell.severity} {cell.loss}",
        "no value",
    )
    assert wrong["final.test_correct"].first_step == record.diverged_step


def runs_frame(rows: list[tuple[str, str, str, float]]) -> pl.DataFrame:
    names = ["family_id", "trajectory_id", "status", "final.test_accuracy"]
    return pl.DataFrame(rows, schema=names, orient="row").with_columns(
        run_id=pl.col("trajectory_id")
    )


def recorded_with(record: RunRecord, rows) -> replay.Recorded:
    return replay.Recorded(record, record.config, runs_frame(rows), "c")


def test_the_tolerance_is_the_spread_of_replicates(make_record):
    record = make_record()
    mine = record.config.family_id
    family = [
        (mine, "t-1", "completed", 0.90),
        (mine, "t-1", "completed", 0.90),  # the same trajectory, measured otherwise
        (mine, "t-2", "completed", 0.93),
        (mine, "t-3", "diverged", 0.10),
        (mine, "t-4", "completed", 0.95),
    ]
    noise = replay.seed_noise_of(recorded_with(record, family))
    assert noise.sd == pytest.approx(np.std([0.90, 0.93, 0.95], ddof=1), rel=1e-12)
    assert "3 replicates" in noise.source

    others = [
        ("f-a", "t-5", "completed", 0.5),
        ("f-a", "t-6", "completed", 0.7),
        ("f-b", "t-7", "completed", 0.8),
        ("f-b", "t-8", "completed", 0.8),
        ("f-b", "t-9", "completed", 0.5),
    ]
    pooled = replay.seed_noise_of(recorded_with(record, [family[0], *others]))
    squares = 2 * 0.1**2 + 2 * 0.1**2 + 0.2**2
    assert pooled.sd == pytest.approx((squares / (5 - 2)) ** 0.5, rel=1e-12)
    assert "pooled over 2 families" in pooled.source
    assert replay.seed_noise_of(recorded_with(record, [family[0]])).sd is None


def test_verdicts_between_bitwise_and_differs(make_record):
    record = make_record()
    mine = record.config.family_id
    family = [(mine, f"t-{i}", "completed", a) for i, a in enumerate([0.8, 0.83, 0.86])]
    recorded = recorded_with(record, family)  # standard deviation 0.03: 6 of 200
    correct = record.final["test_correct"]

    def ending(far: int) -> RunRecord:
        final = {**record.final, "test_correct": correct + far}
        return dataclasses.replace(record, final=final)

    assert replay.judge(recorded, record).verdict == "bitwise"
    assert replay.judge(recorded, ending(-5)).verdict == "within-tolerance"
    beyond = replay.judge(recorded, ending(7))
    assert beyond.verdict == "differs"
    assert beyond.reason == (
        "the final test accuracies are 0.035 apart, more than the standard deviation "
        "of seeds"
    )
    assert beyond.first_step == record.num_steps
    changed = {**record.curves, "lr": record.curves["grad_norm"]}
    for threads, verdict in ((1, "differs"), (2, "within-tolerance")):
        environment = {**record.environment, "threads": threads}
        same_end = dataclasses.replace(record, curves=changed, environment=environment)
        assert replay.judge(recorded, same_end).verdict == verdict
    unknown = replay.judge(recorded_with(record, family[:1]), ending(-5))
    assert unknown.verdict == "differs"
    assert "no tolerance is known" in unknown.reason
    parted = dataclasses.replace(ending(-5), status="diverged", diverged_step=9)
    assert replay.judge(recorded, parted).reason == (
        "the run completed, the replay diverged"
    )


def test_a_replay_is_told_as_text_and_as_data(make_record):
    record = make_record()
    final = {**record.final, "test_loss": 0.25}
    environment = {**record.environment, "threads": 2, "matmul_flops_per_s": 1e9}
    other = dataclasses.replace(record, final=final, environment=environment)
    found = replay.judge(recorded_with(record, []), other)
    text, data = replay.report_text(found), replay.document(found)
    assert text.splitlines()[0] == f"{record.config.run_id} of c: differs"
    assert "threads  1  ->  2" in text
    assert "matmul" not in text
    assert "0.5 recorded, 0.25 replayed" in text
    values = sum(len(c.values) for c in record.curves.values()) + 4 + 3 + 3 * 9
    assert f"{values - 1:,} of {values:,} values" in text
    assert data["verdict"] == "differs"
    assert data["tolerance"]["sd"] is None
    assert data["environment"] == {"threads": {"recorded": 1, "here": 2}}
    assert [s["signal"] for s in data["signals"] if s["same"] < s["values"]] == [
        "final.test_loss"
    ]


@pytest.mark.parametrize("kind", ["shards", "tables"])
def test_names_of_runs_that_cannot_be_replayed(corpus_folder, kind, some_records):
    if kind == "shards":
        (corpus_folder / "corpus.json").unlink()
    else:
        shutil.rmtree(corpus_folder / "shards")
    with pytest.raises(KeyError, match=r"start(s)? with r-zz"):
        replay.find(corpus_folder, "zz")
    with pytest.raises(KeyError, match=r"12 (of the 12 )?runs of .* start with r-"):
        replay.find(corpus_folder, "r-")
    failed = next(r for r in some_records if r.status == "failed").config.run_id
    with pytest.raises(ValueError, match=rf"{failed} failed, so it has no numbers"):
        replay.find(corpus_folder, failed)


def test_an_imported_run_is_refused(make_record, tmp_path):
    config = ForeignConfig(collection="wandb", run="lucky-1", settings={})
    record = dataclasses.replace(make_record(), config=config)
    record.save(tmp_path / "shards")
    with pytest.raises(ValueError, match=r"imported run \('lucky-1' of 'wandb'\)"):
        replay.find(tmp_path, config.run_id)


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(CorpusError, match=r"holds no finished corpus"):
        replay.find(tmp_path, "r-1")
