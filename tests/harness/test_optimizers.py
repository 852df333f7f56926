"""Optimizers against torch.optim and lion-pytorch, and the promises to a cohort."""

import lion_pytorch
import pytest
import torch

from harness.registry import OPTIMIZERS, settable

NUM_STEPS = 50
NUM_PARAMS = 1003
"""Odd, so that vector and remainder loops both run."""

# Per-run hyper-parameters of 4 runs, and the oracle of one run.
SETTINGS = {
    "sgd": {
        "lr": [0.1, 0.03, 0.3, 0.01],
        "momentum": [0.9, 0.0, 0.5, 0.99],
        "l2": [0.0, 5e-4, 1e-2, 1e-3],
    },
    "adam": {
        "lr": [1e-3, 3e-3, 1e-2, 1e-4],
        "beta1": [0.9, 0.0, 0.8, 0.95],
        "beta2": [0.999, 0.99, 0.9, 0.5],
        "eps": [1e-8, 1e-6, 1e-3, 1e-10],
        "l2": [0.0, 5e-4, 1e-2, 1e-3],
    },
    "adamw": {
        "lr": [1e-3, 3e-3, 1e-2, 1e-4],
        "beta1": [0.9, 0.0, 0.8, 0.95],
        "beta2": [0.999, 0.99, 0.9, 0.5],
        "eps": [1e-8, 1e-6, 1e-3, 1e-10],
        "weight_decay": [0.0, 5e-2, 0.5, 1e-2],
    },
    "lion": {
        "lr": [1e-4, 3e-4, 1e-3, 1e-2],
        "beta1": [0.9, 0.95, 0.3, 0.0],
        "beta2": [0.99, 0.98, 0.9, 0.5],
        "weight_decay": [0.0, 0.5, 1.0, 0.1],
    },
}
NAMES = sorted(SETTINGS)


def run_oracle(name, start, grads, scales, run, nesterov=True):
    """Return the parameters of one run after all steps of the reference optimizer."""
    hyper = {k: v[run] for k, v in SETTINGS[name].items()}
    p = start[run].clone().requires_grad_()
    if name == "sgd":
        nesterov = nesterov and hyper["momentum"] > 0  # the reference refuses this
        reference = torch.optim.SGD(
            [p],
            lr=hyper["lr"],
            momentum=hyper["momentum"],
            nesterov=nesterov,
            weight_decay=hyper["l2"],
        )
    else:
        betas = (hyper["beta1"], hyper["beta2"])
        decay = hyper.get("weight_decay", hyper.get("l2"))
        more = {} if name == "lion" else {"eps": hyper["eps"]}
        kinds = {
            "adam": torch.optim.Adam,
            "adamw": torch.optim.AdamW,
            "lion": lion_pytorch.Lion,
        }
        reference = kinds[name](
            [p], lr=hyper["lr"], betas=betas, weight_decay=decay, **more
        )
    for grad, scale in zip(grads, scales, strict=True):
        reference.param_groups[0]["lr"] = hyper["lr"] * scale
        p.grad = grad[run].clone()
        reference.step()
    return p.detach()


def problem(dtype, num_runs=4):
    generator = torch.Generator().manual_seed(3)
    start = torch.randn(num_runs, NUM_PARAMS, generator=generator, dtype=dtype)
    grads = torch.randn(
        NUM_STEPS, num_runs, NUM_PARAMS, generator=generator, dtype=dtype
    )
    scales = [0.5 + 0.01 * k for k in range(NUM_STEPS)]
    return start, grads, scales


def columns(name, dtype, runs=slice(None)):
    return {
        k: torch.tensor(v, dtype=dtype)[runs, None] for k, v in SETTINGS[name].items()
    }


def build(name, params, **hyper):
    return OPTIMIZERS.get(name)(params, **hyper)


def advance(optimizer, grads, scales):
    for grad, scale in zip(grads, scales, strict=True):
        optimizer.step(grad, torch.full((grad.shape[0], 1), scale, dtype=grad.dtype))


@pytest.mark.parametrize("name", NAMES)
def test_a_cohort_in_float64_equals_separate_reference_optimizers(name):
    start, grads, scales = problem(torch.float64)
    params = start.clone()
    advance(build(name, params, **columns(name, torch.float64)), grads, scales)
    for run in range(4):
        expected = run_oracle(name, start, grads, scales, run)
        torch.testing.assert_close(params[run], expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_a_cohort_in_float32_stays_near_the_reference_in_float64(name):
    start, grads, scales = problem(torch.float64)
    params = start.float()
    advance(
        build(name, params, **columns(name, torch.float32)),
        grads.float(),
        scales,
    )
    for run in range(4):
        expected = run_oracle(name, start, grads, scales, run)
        torch.testing.assert_close(params[run].double(), expected, rtol=2e-5, atol=2e-5)


def test_lion_in_float32_differs_from_the_reference_only_where_a_sign_is_at_zero():
    start, grads, scales = problem(torch.float32)
    params = start.clone()
    advance(build("lion", params, **columns("lion", torch.float32)), grads, scales)
    for run in range(4):
        expected = run_oracle("lion", start, grads, scales, run)
        assert ((params[run] - expected).abs() > 2e-6).float().mean() < 0.002


def test_sgd_without_nesterov_equals_the_reference():
    start, grads, scales = problem(torch.float64)
    params = start.clone()
    hyper = columns("sgd", torch.float64)
    advance(build("sgd", params, nesterov=False, **hyper), grads, scales)
    for run in range(4):
        expected = run_oracle("sgd", start, grads, scales, run, nesterov=False)
        torch.testing.assert_close(params[run], expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_first_step_of_one_parameter_by_hand(name):
    params = torch.tensor([[1.0]])
    hyper = {"lr": 0.1} | {
        k: 0.5 for k in ("l2", "weight_decay") if k in settable(OPTIMIZERS.get(name))
    }
    build(name, params, **hyper).step(torch.tensor([[2.0]]), torch.tensor([[0.5]]))
    expected = {
        "sgd": 1 - 0.05 * 1.9 * 2.5,  # d = 2 + 0.5 * 1, u = d + 0.9 d
        "adam": 1 - 0.05,  # the first step of Adam has length lr
        "adamw": 1 - 0.05 * 0.5 - 0.05,
        "lion": 1 - 0.05 * 0.5 - 0.05,
    }[name]
    assert params.item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_alone_gets_the_same_bits_as_in_a_cohort(name):
    start, grads, scales = problem(torch.float32, num_runs=8)
    hyper = {
        k: torch.cat([v, v]) for k, v in columns(name, torch.float32).items()
    }  # 8 runs
    together = start.clone()
    advance(build(name, together, **hyper), grads, scales)
    for run in range(8):
        alone = start[run : run + 1].clone()
        one = {k: v[run : run + 1] for k, v in hyper.items()}
        advance(build(name, alone, **one), grads[:, run : run + 1], scales)
        assert torch.equal(alone[0], together[run])


@pytest.mark.parametrize("name", NAMES)
def test_numbers_and_columns_give_the_same_bits(name):
    start, grads, scales = problem(torch.float32, num_runs=3)
    numbers = {k: v[1] for k, v in SETTINGS[name].items()}
    as_columns = {k: torch.full((3, 1), v) for k, v in numbers.items()}
    first, second = start.clone(), start.clone()
    advance(build(name, first, **numbers), grads, scales)
    advance(build(name, second, **as_columns), grads, scales)
    assert torch.equal(first, second)


@pytest.mark.parametrize("name", NAMES)
def test_a_run_without_decay_gets_the_same_bits_beside_a_run_with_decay(name):
    start, grads, scales = problem(torch.float32, num_runs=2)
    key = "l2" if name in ("sgd", "adam") else "weight_decay"
    alone, together = start[:1].clone(), start.clone()
    advance(build(name, alone, lr=0.01), grads[:, :1], scales)
    decay = {key: torch.tensor([[0.0], [0.1]])}
    advance(build(name, together, lr=0.01, **decay), grads, scales)
    assert torch.equal(alone[0], together[0])


@pytest.mark.parametrize("name", NAMES)
def test_a_frozen_run_keeps_its_bits_whatever_its_state(name):
    start, grads, _ = problem(torch.float32)
    start[1, :3] = torch.tensor([-0.0, float("inf"), 1e-40])
    params = start.clone()
    optimizer = build(name, params, **columns(name, torch.float32))
    bad = torch.tensor([float("inf"), float("nan"), -float("inf"), 1e38])
    for state in optimizer.state().values():
        if state.shape == params.shape:
            state[1, : 4 * 250] = bad.repeat(250)
    for grad in grads:
        grad[1] = 0.0
        scale = torch.full((4, 1), 0.5)
        scale[1] = 0.0
        optimizer.step(grad, scale)
    bits = params[1].view(torch.int32)
    assert torch.equal(bits, start[1].view(torch.int32))
    other = start.clone()
    grads[:, 1] = 1.0
    advance(build(name, other, **columns(name, torch.float32)), grads, [0.5] * 50)
    assert torch.equal(other[[0, 2, 3]], params[[0, 2, 3]])


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_optimizer_continues_bit_for_bit_also_with_fewer_runs(name):
    start, grads, scales = problem(torch.float32)
    hyper = columns(name, torch.float32)
    params = start.clone()
    optimizer = build(name, params, **hyper)
    advance(optimizer, grads[:20], scales[:20])
    saved = {k: v.clone() for k, v in optimizer.state().items()}
    middle = params.clone()
    advance(optimizer, grads[20:], scales[20:])
    keep = [0, 2]
    again = middle[keep]
    resumed = build(name, again, **{k: v[keep] for k, v in hyper.items()})
    resumed.load_state({k: v[keep] for k, v in saved.items()})
    advance(resumed, grads[20:, keep], scales[20:])
    assert torch.equal(again, params[keep])


@pytest.mark.parametrize("name", NAMES)
def test_gradients_and_scale_are_left_alone(name):
    start, grads, _ = problem(torch.float32)
    given, scale = grads[0].clone(), torch.full((4, 1), 0.5)
    build(name, start, **columns(name, torch.float32)).step(given, scale)
    assert torch.equal(given, grads[0])
    assert torch.equal(scale, torch.full((4, 1), 0.5))


@pytest.mark.parametrize("name", NAMES)
def test_only_the_learning_rate_has_no_default(name):
    required = [
        k for k, p in settable(OPTIMIZERS.get(name)).items() if p.default is p.empty
    ]
    assert required == ["lr"]


@pytest.mark.parametrize(
    ("hyper", "message"),
    [
        ({"lr": -0.1}, r"lr is \[-0.1.*expected at least 0"),
        ({"lr": 0.1, "momentum": 1.0}, r"momentum is .* below 1.0"),
        ({"lr": float("nan")}, "lr is"),
        ({"lr": torch.ones(3)}, r"lr has shape \(3,\), expected a number or \(2, 1\)"),
    ],
)
def test_bad_hyper_parameters_are_named(hyper, message):
    with pytest.raises(ValueError, match=message):
        build("sgd", torch.zeros(2, 3), **hyper)


def test_state_of_another_shape_is_refused():
    optimizer = build("sgd", torch.zeros(2, 3), lr=0.1)
    with pytest.raises(ValueError, match="the optimizer state is"):
        optimizer.load_state({"momentum": torch.zeros(1, 3)})
