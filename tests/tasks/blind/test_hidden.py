"""Who is asked about does not tell how anybody ended."""

import polars as pl
import pytest

from tasks.base import TASKS
from tasks.blind.dealing import deal
from tasks.blind.hidden import joined, roles, scored
from tasks.blind.windows import windows_of
from tests.tasks.blind.making import KEY

LOWEST = TASKS.get("loss2loss/val")()
LEVEL = TASKS.get("shift/opt=lion")()


@pytest.mark.parametrize("task", [LOWEST, LEVEL], ids=lambda task: task.name)
def test_roles_do_not_depend_on_the_ends_of_hidden_runs(whole, task):
    windows = windows_of([task])
    link = deal(whole, windows, key=KEY, hide=0.6)
    everyone = joined(whole, whole)
    hidden = pl.col("run_id").is_in(link["run_id"].to_list())
    ends = [name for name in everyone.columns if name.startswith(("final.", "ood."))]
    other = everyone.with_columns(
        [pl.when(hidden).then(None).otherwise(pl.col(n)).alias(n) for n in ends],
        status=pl.lit("completed"),
    )
    name = windows[0].name
    found = roles(task, everyone, link, name)
    columns = ["task", "role", "run_id"]
    again = roles(task, other, link, name)
    assert found.sort(columns).equals(again.sort(columns))


def test_where_an_end_divides_all_are_asked_about_and_some_scored(whole):
    link = deal(whole, windows_of([LOWEST]), key=KEY, hide=0.6)
    everyone = joined(whole, whole)
    found = roles(LOWEST, everyone, link, "w100-losses")
    asked = set(found.filter(role="test")["run_id"])
    assert asked == set(link["id"])
    train = everyone.join(found.filter(role="train"), on="run_id")
    public = everyone.filter(~pl.col("run_id").is_in(link["run_id"].to_list()))
    means = public.group_by("family_id").agg(pl.col("final.train_loss").mean())
    lowest = means.drop_nulls().sort("final.train_loss")["family_id"][0]
    assert lowest not in set(train["family_id"])
    assert set(train["run_id"]) < set(public["run_id"])
    hidden = scored(LOWEST, everyone) & set(link["run_id"])
    assert 0 < len(hidden) < len(asked)


def test_where_a_setting_divides_only_its_level_is_asked_about(whole):
    windows = windows_of([LEVEL])
    link = deal(whole, windows, key=KEY, hide=0.6)
    everyone = joined(whole, whole)
    found = roles(LEVEL, everyone, link, windows[0].name)
    lion = everyone.filter(pl.col("optimizer.name") == "lion")["run_id"]
    names = dict(link.select("id", "run_id").rows())
    asked = {names[name] for name in found.filter(role="test")["run_id"]}
    assert asked == set(lion) & set(link["run_id"])
    assert not set(found.filter(role="train")["run_id"]) & set(lion)
