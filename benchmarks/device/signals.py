"""Tables on what is measured of a run: scores, curvature, probes; and the profile."""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile

from benchmarks.device.bench import (
    COMPILED_AGAIN_S,
    Action,
    Bench,
    Ours,
    Row,
    Spread,
    ratios,
    twin,
)
from benchmarks.device.epochs import PROFILE_EPOCHS
from benchmarks.plain_recipe import PlainRecipe
from harness.cadence import Timeline
from harness.datasets import Split
from harness.evaluate import Scorer
from harness.execution import execution_for
from harness.feed import DeviceSplit
from harness.landscape import Landscape
from harness.ood.suite import corrupt
from harness.probes.base import Scene
from harness.registry import PROBES
from harness.rig import Rig
from harness.spec import Part

PLAIN_PASS = 500
"""Images a pass of the plain evaluation."""
PROFILED_STEPS = 20
TOP = 12
SHRUNK = {"images": 8, "microbatch": 4, "steps": 2, "probes": 2, "window": 4}
"""Arguments of probes that only have to run."""


def evaluation(bench: Bench) -> Iterator[Row]:
    """Time scoring the test images, and a corruption cell made and scored."""
    test = bench.data.test
    rig = Rig([bench.run(bench.size.batches[0])], bench.data, bench.execution)
    images = bench.data.normalise(test.inputs)
    actions: dict[str, Action] = {}
    for amp in (False, True):
        recipe = PlainRecipe(twin(bench, rig), 0.1, amp=amp)
        name = "plain bfloat16" if amp else "plain float32"
        actions[name] = _evaluation(recipe, images, test.labels)
    for name in dict.fromkeys(["eager", bench.execution]):
        scorer = Scorer(rig.state.net, bench.data, execution_for(name, bench.device))
        actions[f"ours {bench.precision} {name}"] = _scoring(scorer, test)
    if bench.left_s > max(COMPILED_AGAIN_S, bench.size.budget_s / 3):
        other = Rig([bench.run(bench.size.batches[0])], bench.data, "compiled")
        actions[f"ours {bench.precision} compiled"] = _scoring(other.scorer, test)
    times = bench.interleaved(actions)
    floor = bench.known["scoring",] * len(test) / bench.known["matmul", bench.precision]
    for name, seconds in times.items():
        yield {
            "what": f"{name}, {len(test)} images",
            "s": Spread.of(seconds),
            "images/s": len(test) / Spread.of(seconds).median,
            "x plain float32": ratios(times["plain float32"], seconds),
            "of operations floor": floor / Spread.of(seconds).median,
        }
        if name.startswith("ours"):
            median = Spread.of(seconds).median
            best = bench.known.get(("scored_s",), median)
            bench.known["scored_s",] = min(best, median)
    del actions
    raw = bench.dataset.test
    while not rig.scorer.settled:
        rig.scorer.score(test)
    for name in ("gaussian_noise", "jpeg_compression"):
        corrupt(raw.inputs[:16], name, 3, bench.device)
        made = bench.seconds(
            lambda name=name: corrupt(raw.inputs, name, 3, bench.device)  # type: ignore[misc]
        )
        cell = DeviceSplit(
            Split(corrupt(raw.inputs, name, 3, bench.device), raw.labels), bench.device
        )
        scored = bench.seconds(lambda cell=cell: rig.scorer.score(cell), 2)  # type: ignore[misc]
        for what, spent in (("made", made), ("scored", scored)):
            yield {
                "what": f"cell {name} 3 {what}",
                "s": spent,
                "images/s": len(raw) / spent,
                "x plain float32": "",
                "of operations floor": floor / spent if what == "scored" else "",
            }
    bench.clear()


def _evaluation(recipe: PlainRecipe, images: Tensor, labels: Tensor) -> Action:
    return lambda: recipe.evaluate(images, labels, PLAIN_PASS)


def _scoring(scorer: Scorer, split: DeviceSplit) -> Action:
    return lambda: scorer.score(split)


def curvature(bench: Bench) -> Iterator[Row]:
    """Time a Hessian-vector product against a gradient of the same images."""
    count = bench.size.curvature_images
    run = bench.run(bench.size.batches[0])
    ours = Ours(bench, [run], "eager")
    for _ in range(5):  # away from the start, with statistics of real batches
        ours()
    net, layout = ours.rig.state.net, ours.rig.state.net.layout
    images = bench.data.normalise(bench.data.train.inputs[:count])
    labels = bench.data.train.labels[:count]
    model = twin(bench, ours.rig)
    with torch.no_grad():
        for own, theirs in zip(
            model.buffers(), net.modules()[0][0].buffers(), strict=True
        ):
            own.copy_(theirs)
    model.eval()
    v = torch.randn(
        net.params.shape,
        generator=torch.Generator(bench.device).manual_seed(0),
        device=bench.device,
    )
    along = [piece.clone() for piece in layout.views(v)]
    peer = _Derivatives(model, images, labels, amp=bench.precision == "bfloat16")
    with Landscape(net, images, labels, precision=bench.precision) as landscape:
        product = landscape.hvp(v)[0]
        reference = layout.join([p.detach() for p in peer.product(along)])[0]
        gap = float((product - reference).norm() / reference.norm())

        def set_up() -> Tensor:
            with Landscape(net, images, labels, precision=bench.precision) as fresh:
                return fresh.gradient()

        times = bench.interleaved(
            {
                "plain gradient": peer.gradient,
                "plain double backward": lambda: peer.product(along),
                "ours, graphs set up": set_up,
                "ours, product": lambda: landscape.hvp(v),
            }
        )
    for name, seconds in times.items():
        yield {
            "what": f"{name}, {count} images",
            "ms": 1000 * Spread.of(seconds).median,
            "x gradient": ratios(seconds, times["plain gradient"]),
            "relative difference": gap if name == "ours, product" else "",
        }
    bench.clear()


class _Derivatives:
    """A gradient and a Hessian-vector product as autograd's manual shows them."""

    def __init__(self, net: nn.Module, images: Tensor, labels: Tensor, *, amp: bool):
        self._net, self._images, self._labels, self._amp = net, images, labels, amp
        self._leaves = list(net.parameters())

    def gradient(self, *, graph: bool = False) -> tuple[Tensor, ...]:
        with torch.autocast(self._images.device.type, torch.bfloat16, self._amp):
            logits = self._net(self._images)
            loss = F.cross_entropy(logits, self._labels)
        return torch.autograd.grad(loss, self._leaves, create_graph=graph)

    def product(self, along: list[Tensor]) -> tuple[Tensor, ...]:
        gradient = self.gradient(graph=True)
        dot = sum((g * v).sum() for g, v in zip(gradient, along, strict=True))
        assert isinstance(dot, Tensor)
        return torch.autograd.grad(dot, self._leaves)


def probes(bench: Bench) -> Iterator[Row]:
    """Time each default probe, and tell its share of a run of 50 epochs."""
    batch = bench.size.batches[0]
    parts = bench.profile.probes
    if bench.size.shrunk_probes:
        parts = tuple(_shrunk(part) for part in parts)
    run = bench.run(batch, epochs=PROFILE_EPOCHS, probes=parts)
    ours = Ours(bench, [run])
    rig = ours.rig
    for _ in range(max(5, 1 + bench.cuda * 6)):
        ours()
    scene = Scene(
        cohort=[run],
        net=rig.state.net,
        data=bench.data,
        timeline=Timeline(rig.num_steps, rig.steps_per_epoch),
    )
    step_s = min(v for k, v in bench.known.items() if k[:2] == ("step", batch))
    training = rig.num_steps * step_s
    shares = 0.0
    for part in run.probes:
        probe = PROBES.get(part.name)(scene, **part.params)
        update = 1e-3 * torch.randn_like(rig.state.net.params)
        watched = sum(probe.watches(t) for t in range(1, rig.num_steps + 1))
        times = iter(itertools.cycle(probe.steps))
        seen = 0.0
        if watched:
            first = next(t for t in range(1, rig.num_steps + 1) if probe.watches(t))
            for _ in range(40):  # a window's worth, so that there is something to read
                probe.observe(first, update)
            seen = bench.seconds(lambda: probe.observe(first, update), 10)  # noqa: B023
        probe.measure(next(times))
        each = [bench.seconds(lambda: probe.measure(next(times))) for _ in range(3)]  # noqa: B023
        total = len(probe.steps) * Spread.of(each).median + watched * seen
        shares += total / training
        yield {
            "probe": part.name,
            "s a measurement": Spread.of(each),
            "measurements": len(probe.steps),
            "ms an update watched": 1000 * seen,
            "updates watched": watched,
            "s a run": total,
            "of training": total / training,
            "of passes": probe.planned.gradients / (rig.num_steps * batch),
        }
    bench.known["probes",] = shares * training
    yield {"probe": "all", "s a run": shares * training, "of training": shares}
    bench.clear()


def _shrunk(part: Part) -> Part:
    part = part.resolve(PROBES)
    known = {k: v for k, v in SHRUNK.items() if k in part.params}
    return part.with_params(**known)


def kernels(bench: Bench) -> Iterator[Row]:
    """Profile some updates: which kernels take the time, and how long none runs."""
    for batch in bench.size.batches:
        ours = Ours(bench, [bench.run(batch)], bench.best(batch))
        for _ in range(8):
            ours()
        bench.wait()
        kinds = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.cuda else [])]
        steps = PROFILED_STEPS if bench.cuda else 2
        with profile(activities=kinds) as seen:
            for _ in range(steps):
                ours()
            bench.wait()
        for row in kernel_shares(seen.events(), steps, cuda=bench.cuda):
            yield {"batch": batch, **row}
        del ours
        bench.clear()


def covered(spans: Sequence[tuple[float, float]]) -> float:
    """Return the length of the union of spans (start, end).

    Example:
        >>> covered([(4, 5), (0, 2), (1, 3)])
        4.0
    """
    total, reached = 0.0, -math.inf
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def kernel_shares(events: Iterable[Any], steps: int, *, cuda: bool) -> Iterator[Row]:
    """Yield the dearest kernels, all others, and the time without any.

    Args:
        events: Of a profiler.
        steps: Updates that it saw.
        cuda: Whether kernels of a GPU count, else operators of the host.

    Raises:
        RuntimeError: There is none.
    """
    spent: defaultdict[str, float] = defaultdict(float)
    calls: defaultdict[str, int] = defaultdict(int)
    spans = []
    for event in events:
        on_gpu = event.device_type.name == "CUDA"
        if on_gpu != cuda or getattr(event, "is_user_annotation", False):
            continue
        own = event.time_range.elapsed_us() if on_gpu else event.self_cpu_time_total
        spent[event.name] += own
        calls[event.name] += 1
        spans.append((event.time_range.start, event.time_range.end))
    if not spans:
        raise RuntimeError("the profiler saw no kernel: is CUPTI of this CUDA there?")
    first, last = min(start for start, _ in spans), max(end for _, end in spans)
    passed, total, busy = last - first, sum(spent.values()), covered(spans)
    ranked = sorted(spent, key=lambda name: -spent[name])
    rows = [(name, spent[name], calls[name]) for name in ranked[:TOP]]
    rest = ranked[TOP:]
    rows.append(("others", sum(spent[k] for k in rest), sum(calls[k] for k in rest)))
    for name, us, count in rows:
        yield {
            "kernel": name[:90],
            "us an update": us / steps,
            "share": us / total,
            "calls an update": count / steps,
        }
    yield {
        "kernel": "idle, of the time from first to last",
        "us an update": (passed - busy) / steps,
        "share": 1 - busy / passed,
        "calls an update": "",
    }
