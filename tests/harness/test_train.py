"""The training loop: against a plain loop, in cohorts, interrupted, diverged."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from harness.checkpoint import CheckpointFile
from harness.cohort import CohortNet
from harness.datasets import Source
from harness.evaluate import Scorer
from harness.feed import DeviceCell, DeviceData
from harness.record import same_outcome
from harness.registry import DATASETS
from harness.seeds import stream
from harness.spec import Part, Recording
from harness.train import cohort_key, train
from tests.harness.toy import toy_data, toy_run

pytestmark = pytest.mark.usefixtures("one_thread")


def _single(run, data):
    (record,) = train([run], data)
    return record


def test_losses_agree_with_a_plain_pytorch_loop():
    """First 20 updates to 1e-5: after that two correct loops drift apart."""
    run, data = toy_run(epochs=5, schedule="constant"), toy_data()
    ours = _single(run, data).curves["train_loss"].values[:20]

    start = CohortNet(run.model, [run.seed], (1, 8, 8), 4, device=torch.device("cpu"))
    plain = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 4))
    offset = 0
    for layer in (plain[1], plain[3]):
        for leaf in _weight_first(layer, start.params[0], offset):
            offset += leaf
    optimizer = torch.optim.SGD(plain.parameters(), 0.05, 0.9, nesterov=True)
    losses = []
    images = data.normalise(data.train.inputs)
    for epoch in range(3):
        order = torch.from_numpy(stream(0, "order", epoch).permutation(64))
        for batch in order.split(8):
            for group in optimizer.param_groups:
                group["lr"] = 0.05 * min(1.0, (len(losses) + 1) / 8)
            loss = nn.functional.cross_entropy(
                plain(images[batch]), data.train.labels[batch]
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    np.testing.assert_allclose(ours, losses[:20], rtol=1e-5, atol=1e-6)


def _weight_first(layer: nn.Linear, flat: torch.Tensor, offset: int):
    """Fill a linear layer from the flat parameters of the stacked one."""
    net = [layer.weight, layer.bias]
    for leaf in net:
        values = flat[offset : offset + leaf.numel()]
        if leaf.ndim == 2:
            leaf.data = values.view(leaf.shape[1], leaf.shape[0]).T.clone()
        else:
            leaf.data = values.clone()
        offset += leaf.numel()
        yield leaf.numel()


MIXED = [
    toy_run(seed=0, lr=0.05),
    toy_run(seed=1, lr=0.2, schedule="step"),
    toy_run(seed=0, lr=0.01, augmentation="crop_flip"),
    toy_run(seed=2, lr=0.05, schedule="const_cool"),
]


@pytest.mark.parametrize("model", ["mlp", "patchnet", "resnet20"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "lion"])
def test_a_run_is_bit_for_bit_the_same_alone_and_in_any_cohort(model, optimizer):
    data, part = toy_data(num_train=32), toy_run(model=model).model
    slower = 1 if optimizer == "sgd" else 50
    cohort = [
        dataclasses.replace(
            run,
            model=part,
            optimizer=Part(optimizer, {"lr": run.optimizer.params["lr"] / slower}),
            epochs=2,
        ).resolve()
        for run in MIXED
    ]
    together = train(cohort, data)
    reversed_ = train(cohort[::-1], data)[::-1]
    for run, one, other in zip(cohort, together, reversed_, strict=True):
        alone = _single(run, data)
        assert same_outcome(alone, one)
        assert same_outcome(alone, other)


def test_the_same_run_twice_gives_the_same_bits():
    assert same_outcome(_single(MIXED[1], toy_data()), _single(MIXED[1], toy_data()))


@pytest.mark.parametrize("model", ["mlp", "resnet20"])
def test_dropout_does_not_depend_on_the_cohort_or_on_the_global_stream(model):
    part = toy_run(model=model).model.with_params(dropout=0.3)
    runs = [toy_run(seed=s, epochs=1, model=model) for s in range(3)]
    runs = [dataclasses.replace(run, model=part).resolve() for run in runs]
    together = train(runs, toy_data())
    torch.rand(17)
    assert same_outcome(together[2], _single(runs[2], toy_data()))


@pytest.mark.parametrize("recording", [Recording(evals_per_epoch=7, train_subset=64)])
def test_what_is_measured_does_not_change_the_trajectory(recording):
    run, data = toy_run(model="resnet20", epochs=1), toy_data()
    other = dataclasses.replace(run, recording=recording)
    one, two = _single(run, data), _single(other, data)
    for signal in ("train_loss", "grad_norm", "lr"):
        np.testing.assert_array_equal(
            one.curves[signal].values, two.curves[signal].values
        )
    assert len(two.curves["val_loss"].values) > len(one.curves["val_loss"].values)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw", "lion"])
@pytest.mark.parametrize("schedule", ["cosine", "step", "const_cool"])
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interrupted_run_resumes_to_the_same_bits(
    tmp_path, optimizer, schedule, epoch
):
    runs = [
        toy_run(seed=s, lr=0.002, optimizer=optimizer, schedule=schedule)
        for s in range(2)
    ]
    whole = train(runs, toy_data())
    file = CheckpointFile(tmp_path, "c-x")
    asked = iter(range(1, 10))
    stopped = train(
        runs, toy_data(), checkpoint=file, interrupted=lambda: next(asked) == epoch
    )
    assert stopped is None
    resumed = train(runs, toy_data(), checkpoint=file)
    assert all(same_outcome(a, b) for a, b in zip(whole, resumed, strict=True))


def test_part_of_a_cohort_resumes_from_the_checkpoint_of_the_whole(tmp_path):
    runs = [toy_run(seed=s, model="resnet20", epochs=2) for s in range(3)]
    file = CheckpointFile(tmp_path, "c-x")
    train(runs, toy_data(), checkpoint=file, interrupted=lambda: True)
    rest = train([runs[2], runs[0]], toy_data(), checkpoint=file)
    assert same_outcome(rest[0], _single(runs[2], toy_data()))
    assert same_outcome(rest[1], _single(runs[0], toy_data()))


def test_the_trained_state_is_saved_between_cells_once_that_is_due(tmp_path):
    data, file, told = toy_data(), CheckpointFile(tmp_path, "c-x"), []
    cells = [DeviceCell("toy", "none", level, lambda: data.test) for level in (1, 2)]
    (whole,) = train(
        [toy_run()],
        data,
        ood=cells,
        checkpoint=file,
        progress=lambda step, _: told.append(step),
        checkpoint_due=lambda: told.count(24) > 1,
    )
    assert file.load()["step"] == whole.num_steps == 24
    (resumed,) = train([toy_run()], data, ood=cells, checkpoint=file)
    assert same_outcome(whole, resumed)


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path, caplog):
    runs = [toy_run(epochs=4)]
    file = CheckpointFile(tmp_path, "c-x")
    train(runs, toy_data(), checkpoint=file, checkpoint_due=lambda: True)
    latest = tmp_path / "c-x.pt"
    data = bytearray(latest.read_bytes())
    data[len(data) // 2] ^= 1
    latest.write_bytes(data)
    assert file.load()["step"] == 30  # saved after each of 32 steps but the last
    assert "is damaged" in caplog.text
    (resumed,) = train(runs, toy_data(), checkpoint=file)
    assert same_outcome(resumed, _single(runs[0], toy_data()))


def test_label_smoothing_is_recorded_beside_the_plain_cross_entropy():
    smooth = Part("cross_entropy", {"label_smoothing": 0.1})
    runs = [toy_run(seed=0), dataclasses.replace(toy_run(seed=0), objective=smooth)]
    plain, smoothed = train([run.resolve() for run in runs], toy_data())
    np.testing.assert_array_equal(
        plain.curves["train_ce"].values, plain.curves["train_loss"].values
    )
    assert smoothed.curves["train_ce"].values[0] == pytest.approx(
        plain.curves["train_loss"].values[0], rel=1e-6
    )
    assert (smoothed.curves["train_loss"].values >= 0.33).all()  # its floor at K = 4


def test_final_scores_agree_with_a_naive_count():
    run, data = toy_run(epochs=1), toy_data()
    record = _single(run, data)
    last = record.curves["val_loss"]
    assert last.steps[-1] == record.num_steps == 8
    assert record.final["validation_loss"] == pytest.approx(float(last.values[-1]))
    assert record.final["validation_correct"] / 32 == pytest.approx(
        float(record.curves["val_accuracy"].values[-1])
    )


def test_scores_agree_with_torch_cross_entropy_and_a_loop():
    data = toy_data()
    net = CohortNet(toy_run().model, [0, 1], (1, 8, 8), 4, device=torch.device("cpu"))
    scores = Scorer(net, data).score(data.test, torch.arange(40))
    logits = net.eval_logits(data.normalise(data.test.inputs[:40]))
    for s in range(2):
        expected = nn.functional.cross_entropy(logits[s], data.test.labels[:40])
        assert scores.loss[s].item() == pytest.approx(expected.item(), rel=1e-6)
        right = sum(
            int(logits[s, i].argmax() == data.test.labels[i]) for i in range(40)
        )
        assert scores.correct[s].item() == right


def test_the_recorded_learning_rate_is_the_schedule_times_the_peak():
    record = _single(toy_run(schedule="constant", lr=0.05), toy_data())
    expected = 0.05 * np.minimum(1.0, np.arange(1, 25) / 8)
    np.testing.assert_allclose(record.curves["lr"].values, expected, rtol=1e-6)


def test_bfloat16_trains_to_about_the_same_loss():
    run = toy_run(model="resnet20", epochs=2)
    half = dataclasses.replace(run, precision="bfloat16")
    exact, rough = (_single(r, toy_data()) for r in (run, half))
    a, b = (r.curves["train_loss"].values[-4:].mean() for r in (exact, rough))
    assert a != b
    assert abs(a - b) < 0.2


@pytest.mark.parametrize("name", ["two-moons", "circles", "koch"])
def test_points_in_the_plane_are_learned_by_a_small_network(name, tmp_path):
    run = toy_run(epochs=30, batch_size=50, lr=0.1, schedule="cosine")
    run = dataclasses.replace(run, model=Part("mlp", {"width": 32})).resolve()
    source = Source(data_dir=None, cache_dir=tmp_path)
    dataset = DATASETS.get(name)(source, train_size=500)
    record = _single(run, DeviceData(dataset, torch.device("cpu")))
    assert record.final["test_correct"] / record.final["test_n"] > 0.85


def test_runs_of_another_shape_do_not_train_together():
    with pytest.raises(ValueError, match="differ in more than a cohort's runs may"):
        train([toy_run(), toy_run(batch_size=16)], toy_data())
    assert cohort_key(toy_run(seed=1, lr=0.7)) == cohort_key(toy_run(schedule="step"))


def test_a_batch_larger_than_the_training_set_is_refused():
    with pytest.raises(ValueError, match=r"batch_size 65 is larger than the 64 train"):
        train([toy_run(batch_size=65)], toy_data())
