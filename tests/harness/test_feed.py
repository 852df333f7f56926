"""Batches: every epoch a permutation, streams shared, chunks invisible."""

import numpy as np
import pytest
import torch

import harness.feed
from harness.feed import Feed
from harness.seeds import stream
from tests.harness.toy import toy_data, toy_run


def epoch(feed, number):
    """Return all batches of an epoch."""
    feed.start_epoch(number)
    batches = []
    for index in range(feed.steps_per_epoch):
        feed.prepare(index)
        batches.append(tuple(each.clone() for each in feed.take()))  # overwritten
    return batches


@pytest.mark.parametrize("static", [False, True])
def test_an_epoch_visits_the_images_in_the_order_of_the_seed(static):
    data, runs = toy_data(), [toy_run(seed=3), toy_run(seed=3, lr=1), toy_run(seed=4)]
    feed = Feed(data, runs, static=static)
    batches = epoch(feed, 2)
    for s, run in enumerate(runs):
        order = stream(run.seed, "order", 2).permutation(64)
        labels = torch.cat([labels[s] for _, labels in batches])
        inputs = torch.cat([inputs[s] for inputs, _ in batches])
        assert torch.equal(labels, data.train.labels[order])
        assert torch.equal(inputs, data.normalise(data.train.inputs[order]))


def test_a_last_partial_batch_is_dropped():
    feed = Feed(toy_data(num_train=70), [toy_run(batch_size=16)])
    assert feed.steps_per_epoch == 4


def test_training_inputs_have_mean_zero_and_variance_one():
    data = toy_data()
    images = data.normalise(data.train.inputs).double()
    assert images.mean().item() == pytest.approx(0, abs=1e-6)
    assert images.std(correction=0).item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("chunk", [8, 24, 4096])
def test_the_size_of_a_chunk_does_not_show(monkeypatch, chunk):
    monkeypatch.setattr(harness.feed, "CHUNK", chunk)
    runs = [toy_run(seed=s, augmentation="randaugment") for s in (0, 1)]
    feed = Feed(toy_data(), runs)
    got = np.stack([inputs.numpy() for inputs, _ in epoch(feed, 0)])
    monkeypatch.setattr(harness.feed, "CHUNK", 16)
    feed = Feed(toy_data(), runs)
    np.testing.assert_array_equal(
        got, np.stack([inputs.numpy() for inputs, _ in epoch(feed, 0)])
    )
