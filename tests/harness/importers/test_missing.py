"""What a corpus lacks, told for corpora of this harness and for foreign ones."""

import pytest

from harness.corpus import Corpus
from harness.importers.missing import WHATS, is_setting, missing
from harness.publish import build

HEADER = "run_id,signal,step,value"


def test_a_corpus_of_the_harness_lacks_probes_only(built_folder):
    found = missing(Corpus.open(built_folder))
    assert [each.what for each in found] == ["probes"]
    assert found[0].why == "none of 11 runs has it"
    assert found[0].runs == 0


def test_a_bare_curve_lacks_everything_but_itself(write, load):
    corpus, done = load(write("x.csv", HEADER, "a,train_loss,1,1", "a,train_loss,2,1"))
    found = [each.what for each in missing(corpus)]
    assert found == [w for w in WHATS if w not in ("train_loss", "every_update")]
    assert done.missing == missing(corpus)


def test_a_corpus_without_runs_lacks_everything(tmp_path):
    build(tmp_path / "c", name="nothing", grids={})
    found = missing(Corpus.open(tmp_path / "c"))
    assert [each.what for each in found] == list(WHATS)


def test_what_some_runs_have_is_counted(write, load):
    rows = ["a,train_loss,1,1,0.5,r", "b,train_loss,2,1,,r", "c,lr,1,1,,"]
    path = write("x.csv", f"{HEADER},final_test_accuracy,model", *rows)
    corpus, _ = load(path, steps_per_epoch=5)
    found = {each.what: each.runs for each in missing(corpus)}
    assert found["final_test_accuracy"] == 1
    assert found["train_loss"] == 2
    assert found["every_update"] == 1
    assert found["lr_curve"] == 1
    assert found["configuration"] == 2
    assert found["replicates"] == 2
    assert found["data_and_model"] == 0
    assert "steps_per_epoch" not in found


@pytest.mark.parametrize(
    ("column", "answer"),
    [
        ("optimizer.lr", True),
        ("depth", True),
        ("seed", False),
        ("final.test_loss", False),
        ("foreign.run", False),
        ("num_steps", False),
        ("probes", False),
    ],
)
def test_settings_are_what_is_known_before_a_run(column, answer):
    assert is_setting(column) == answer
