import polars as pl
import pytest

from harness.costs import ACCOUNTS, account_columns, costs, costs_text, label
from harness.release.effort import effort


def table(**columns):
    return pl.DataFrame({k.replace("__", "."): v for k, v in columns.items()})


def of(found, name):
    """Return (runs, seconds, share) of an account."""
    account = next(a for a in found.accounts if a.name == name)
    return account.runs, account.total_s, account.share


def test_the_example_of_the_docstring():
    found = costs(
        table(cost__train_s=[1.0, 3.0], cost__eval_s=[1.0, None]).with_columns(
            pl.Series("cost.train_images", [100.0, 600.0])
        )
    )
    assert (found.runs, found.total_s) == (2, 5.0)
    assert of(found, "train") == (2, 4.0, 0.8)
    assert of(found, "eval") == (1, 1.0, 0.2)
    assert [g.images_per_s for g in found.groups] == [150.0]


def test_what_was_not_measured_is_neither_zero_nor_a_number():
    found = costs(
        table(
            cost__train_s=[2.0, None, None],
            cost__save_s=[0.0, None, None],
            cost__wait_s=[float("nan"), None, None],
        )
    )
    assert found.runs == 1
    assert of(found, "save") == (1, 0.0, 0.0)
    assert of(found, "wait") == of(found, "compile") == (0, None, None)
    lines = {line.split()[0]: line.split()[1:] for line in costs_text(found) if line}
    assert lines["checkpoints"] == ["1", "0.00", "0.0", "%"]
    assert lines["waiting"] == lines["compiling"] == ["-", "-", "-"]
    assert lines["-"] == ["-", "-", "1", "-", "-", "-"]  # model, batch, packing, ...


def test_accounts_have_one_order_and_the_dearest_probe_is_first():
    found = costs(
        table(**{"cost.probe.a_s": [1.0], "cost.train_s": [1.0], "cost.probe.b_s": [2]})
    )
    assert [a.name for a in found.accounts] == [*ACCOUNTS, "probe.b", "probe.a"]
    assert [label(a.name) for a in found.accounts[-2:]] == ["probe b", "probe a"]


def test_only_seconds_are_accounts():
    names = ["cost.probe.x_forward_images", "cost.train_flops", "seed", "cost.eval_s"]
    assert account_columns(names) == {"cost.eval_s": "eval"}


@pytest.mark.parametrize(
    "runs",
    [
        pl.DataFrame({"run_id": ["a"]}),
        pl.DataFrame({"run_id": [], "cost.train_s": []}),
        pl.DataFrame({"cost.train_s": [None, None]}),
    ],
)
def test_runs_without_times_cost_nothing_that_is_known(runs):
    found = costs(runs)
    assert (found.runs, found.total_s, found.groups) == (0, 0.0, ())
    assert costs_text(found) == []


def test_speed_is_the_median_of_runs_of_one_kind():
    """Seconds are a run's share: of 4 runs side by side one has a quarter's speed."""
    kind = {
        "model.name": ["m"] * 3 + ["n"],
        "batch_size": [64] * 4,
        "environment.device": ["GPU"] * 3 + ["cpu"],
        "environment.execution": ["graph"] * 3 + [None],
        "environment.packing": [4] * 3 + [1],
    }
    measured = {
        "cost.train_s": [1.0, 2.0, 0.0, 2.0],
        "cost.train_images": [800.0, 800.0, 800.0, 10.0],
        "cost.train_flops": [8e12, 8e12, 8e12, None],
        "environment.matmul_flops_per_s": [1e13, 1e13, 1e13, 1e9],
    }
    gpu, cpu = costs(pl.DataFrame(kind | measured)).groups
    assert (gpu.device, gpu.execution, gpu.model) == ("GPU", "graph", "m")
    assert (gpu.batch_size, gpu.packing, gpu.runs) == (64, 4, 3)
    # 800 / 1 and 800 / 2 images a second; no time is no speed
    assert (gpu.images_per_s, gpu.images_per_s_of_a_run) == (600.0, 150.0)
    # 8e12 / 1 and 8e12 / 2 of 1e13 operations a second
    assert gpu.utilisation == pytest.approx(0.6)
    assert (cpu.images_per_s, cpu.execution, cpu.utilisation) == (5.0, None, None)


def test_the_text_has_80_columns_whatever_the_names():
    long = "a_package_of_somebody.with_models.in_it:TheLargestOfThem"
    found = costs(
        pl.DataFrame(
            {
                "model.name": [long],
                "batch_size": [65536],
                "environment.device": [long * 2],
                "environment.execution": ["compiled"],
                "environment.packing": [1024],
                "cost.train_s": [3e7],
                f"cost.probe.{long}_s": [3e7],
                "cost.train_images": [3e13],
                "cost.train_flops": [3e20],
                "environment.matmul_flops_per_s": [1e13],
            }
        )
    )
    lines = costs_text(found)
    assert max(map(len, lines)) <= 80
    assert "100.0 %" in lines[-2]
    assert "matrix product" in lines[-1]


def test_a_card_tells_every_account_and_its_ratio_to_training():
    columns = {f"cost.{name}_s": [1.0, 3.0] for name in ("compile", "load", "wait")}
    found = effort(pl.DataFrame({"cost.train_s": [20.0, None]} | columns))
    names = ["training", "compiling", "loading", "waiting"]
    assert [a.name for a in found.accounts] == names
    assert [found.over_training(a) for a in found.accounts] == [1.0, 0.2, 0.2, 0.2]
    untimed = effort(pl.DataFrame(columns))
    assert untimed.over_training(untimed.accounts[0]) is None
