"""Tables on the training step: ceilings, agreement with the peer, speed, recording."""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import torch

from benchmarks.device.bench import Action, Bench, Ours, Row, Spread, ratios, twin
from benchmarks.plain_recipe import PlainRecipe
from harness.feed import Feed
from harness.operations import activation_elements, scoring_flops, training_flops
from harness.peak import matmul_rate
from harness.rig import Rig

COPIED_BYTES = {"cuda": 2**31, "cpu": 2**26}
"""Far more than a cache holds."""
COMPILE_S = {"cuda": 90.0, "cpu": 60.0}
"""What translating a network may take, before one was timed."""
RESERVE_S = 150.0
"""Seconds of the budget that translation leaves to the tables after it."""
AGREEING_STEPS = 5


def ceilings(bench: Bench) -> Iterator[Row]:
    """Measure what nothing on this device exceeds."""
    for precision in ("float32", "bfloat16"):
        rate = matmul_rate(bench.device, precision)
        # a device that multiplies bfloat16 slower may as well multiply float32
        bench.known["matmul", precision] = max([rate, *bench.known.values()])
        yield {"what": f"matrix product, {precision}", "rate": rate, "unit": "FLOP/s"}
    source = torch.randint(
        1, 255, (COPIED_BYTES[bench.device.type],), dtype=torch.uint8
    ).to(bench.device)
    target = torch.empty_like(source)
    times = bench.interleaved({"copy": lambda: target.copy_(source)})["copy"]
    bandwidth = 2 * source.numel() / Spread.of(times).median
    bench.known["bandwidth",] = bandwidth
    yield {"what": "copy, read and written", "rate": bandwidth, "unit": "B/s"}
    shape = (bench.model, bench.data.in_shape, bench.data.num_classes)
    for name, count in (
        ("training", training_flops(*shape)),
        ("scoring", scoring_flops(*shape)),
    ):
        bench.known[name,] = count
        yield {"what": f"{name} on an image", "rate": count, "unit": "FLOP"}
    elements = activation_elements(*shape)
    bench.known["elements",] = elements
    yield {"what": "activations of an image", "rate": elements, "unit": "numbers"}


def agreement(bench: Bench) -> Iterator[Row]:
    """Train both on the same batches from the same weights, in float32."""
    run = bench.run(bench.size.batches[0], augment=False, precision="float32")
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        rig = Rig([run], bench.data, "eager")
        rate = float(rig.factors[0, 0]) * run.optimizer.params["lr"]
        peer = PlainRecipe(twin(bench, rig), rate, amp=False)
        feed = Feed(bench.data, [run])
        feed.start_epoch(0)
        steps = min(AGREEING_STEPS, rig.steps_per_epoch)
        theirs = []
        for step in range(steps):
            for group in peer.optimizer.param_groups:
                group["lr"] = float(rig.factors[0, step]) * run.optimizer.params["lr"]
            feed.prepare(step)
            images, labels = feed.take()
            theirs.append(peer.step(images[0], labels[0]).item())
            rig.update(step)
            rig.update.record()
    ours = rig.state.by_step.curves([steps])[0]["train_loss"].values.tolist()
    for step, (a, b) in enumerate(zip(ours, theirs, strict=True), start=1):
        gap = abs(a - b) / abs(b)
        yield {"update": step, "ours": a, "plain": b, "relative difference": gap}


def steps(bench: Bench) -> Iterator[Row]:
    """Time an update of each kind at each batch size."""
    for batch in bench.size.batches:
        actions = plain_steps(bench, batch)
        for precision, execution in dict.fromkeys(
            [
                ("float32", "eager"),
                ("bfloat16", "eager"),
                (bench.precision, bench.execution),
            ]
        ):
            run = bench.run(batch, precision=precision)
            actions[f"ours {precision} {execution}"] = Ours(bench, [run], execution)
        yield from _speeds(bench, batch, bench.interleaved(actions))
        del actions
        bench.clear()


def compiled_steps(bench: Bench) -> Iterator[Row]:
    """Time the compiled update beside what it has to beat."""
    expected = COMPILE_S[bench.device.type]
    for batch in bench.size.batches:
        if bench.left_s < min(expected + RESERVE_S, bench.size.budget_s / 2):
            yield {"batch": batch, "step": f"left out: {bench.left_s:.0f} s left"}
            continue
        run = bench.run(batch)
        compiled = Ours(bench, [run], "compiled")
        expected = bench.seconds(compiled, wall=True)
        actions: dict[str, Action] = plain_steps(bench, batch)
        name = f"ours {bench.precision}"
        actions[f"{name} {bench.execution}"] = Ours(bench, [run])
        actions[f"{name} compiled"] = compiled
        for row in _speeds(bench, batch, bench.interleaved(actions)):
            yield row | {"first call s": expected if "compiled" in row["step"] else ""}
        del actions, compiled
        bench.clear()


def plain_steps(bench: Bench, batch: int) -> dict[str, Action]:
    """Return updates of the plain recipe on batches that lie on the device."""
    chosen = bench.data.train
    images = torch.split(bench.data.normalise(chosen.inputs[: 4 * batch]), batch)
    labels = torch.split(chosen.labels[: 4 * batch], batch)
    batches = [(x, y) for x, y in zip(images, labels, strict=True) if len(y) == batch]
    run = bench.run(batch)
    rig = Rig([run], bench.data, "eager")
    kinds = {
        "plain float32": (False, False),
        "plain bfloat16": (True, False),
        "plain bfloat16 channels_last": (True, True),
    }
    actions: dict[str, Action] = {}
    for name, (amp, last) in kinds.items():
        net, rate = twin(bench, rig), run.optimizer.params["lr"]
        recipe = PlainRecipe(net, rate, amp=amp, channels_last=last)
        actions[name] = _turns(recipe, batches)
    return actions


def _turns(
    recipe: PlainRecipe, batches: Sequence[tuple[torch.Tensor, torch.Tensor]]
) -> Action:
    """Return an update on the next batch, over and over."""
    turn = itertools.cycle(batches)
    return lambda: recipe.step(*next(turn))


def _speeds(
    bench: Bench, batch: int, times: Mapping[str, list[float]]
) -> Iterator[Row]:
    """Yield a row a kind of update; keep ours in the profile's precision."""
    for name, seconds in times.items():
        median = Spread.of(seconds).median
        half = "bfloat16" in name
        rate = bench.known["matmul", "bfloat16" if half else "float32"]
        # 28 bytes an activation of two bytes: what a compiler that fuses moves
        moved = (
            bench.known["elements",] * (28 if half else 56) / bench.known["bandwidth",]
        )
        if name.startswith(f"ours {bench.precision}"):
            key = ("step", batch, name.split()[-1])
            bench.known[key] = median
        yield {
            "batch": batch,
            "step": name,
            "ms": 1000 * median,
            "images/s": batch / median,
            "x plain float32": ratios(times["plain float32"], seconds),
            "x plain bfloat16": ratios(times["plain bfloat16"], seconds),
            "of operations floor": bench.known["training",] * batch / rate / median,
            "of memory floor": moved * batch / median,
        }


def recording(bench: Bench) -> Iterator[Row]:
    """Time updates with and without recording, in turn."""
    for batch in bench.size.batches:
        ours = Ours(bench, [bench.run(batch)])
        times = bench.interleaved(
            {"on": ours, "off": ours.unrecorded}, rounds=3 * bench.size.rounds
        )
        extra = [a / b - 1 for a, b in zip(times["on"], times["off"], strict=True)]
        yield {
            "batch": batch,
            "off ms": 1000 * Spread.of(times["off"]).median,
            "on ms": 1000 * Spread.of(times["on"]).median,
            "overhead": Spread.of(extra),
            "target": 0.02,
        }
        del ours
        bench.clear()
