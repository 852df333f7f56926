"""The card of every kind of corpus: valid for the Hub, whole, and free of markup."""

import ast
import dataclasses
import fnmatch
import re

import pytest
import yaml
from huggingface_hub import DatasetCard

from harness.corpus import Corpus
from harness.release.card import card_text, hub_configs
from harness.release.facts import gather_facts
from harness.release.limits import limits
from harness.release.templates import bibtex, code, duration, plain, size
from harness.schema import WINDOW_EDGES
from tests.harness.release.kinds import BLIND, KINDS, REFERENCE, notes

LEFT_OPEN = re.compile(r"TODO|FIXME|XXX|PATH_OR_REPO|\{\{|\}\}|\{%|undefined|\bNone\b")
NOTES = (None, notes(), notes(repo=None, licence="unknown"))
REFERENCES = sorted(path.parent.name for path in REFERENCE.glob("*/corpus.json"))


def without_bibtex(text):
    """Return a text less the entry for BibTeX, which has braces of its own."""
    return re.sub(r"```bibtex.*?```", "", text, flags=re.DOTALL)


def tables_of(text):
    """Return every table of a Markdown text as rows of cells."""
    found = [[]]
    for line in text.splitlines():
        if line.startswith("|"):
            found[-1].append(re.split(r"(?<!\\)\|", line)[1:-1])
        elif found[-1]:
            found.append([])
    return [table for table in found if table]


def check(text):
    """Check what every card has to be."""
    assert LEFT_OPEN.findall(without_bibtex(text)) == []
    data = DatasetCard(text).data
    assert data.size_categories
    assert data.pretty_name
    assert "<i>" not in without_bibtex(text.split("\n---\n", 1)[1])
    assert "\n\n\n\n" not in text
    tables = tables_of(text)
    assert len(tables) > 5
    for table in tables:
        assert len({len(row) for row in table}) == 1, table[0]
    for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        ast.parse(block)
    return data


@pytest.mark.parametrize("told", NOTES, ids=["working", "hub", "folder"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_card_is_whole(kind, told, facts_of):
    text = card_text(facts_of(kind), told)
    data = check(text)
    foreign = kind in ("imported", "strange")
    licence = "unknown" if foreign else "cc-by-4.0"
    assert data.license == (licence if told is None else told.licence)
    assert ("## How to cite" in text) == (told is not None)
    assert ("org/name" in text) == (told is not None and told.repo is not None)
    assert ("Where it comes from" in text) == foreign
    assert ("No run has finished" in text) == (kind == "empty")


@pytest.mark.parametrize("name", REFERENCES)
def test_a_reference_corpus_has_a_whole_card(name):
    facts = gather_facts(Corpus.open(REFERENCE / name))
    for told in (None, notes()):
        text = card_text(facts, told)
        check(text)
        for table in facts.tables:
            rows = tables_of(text.split(f"<summary>{table.name}: ")[1])[0][2:]
            assert [row[0].strip(" `") for row in rows] == [
                column.name for column in table.columns
            ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_hub_is_offered_every_table_that_has_rows(kind, facts_of, corpus_of):
    facts, corpus = facts_of(kind), corpus_of(kind)
    configs = {c["config_name"]: c for c in hub_configs(facts)}
    rows = corpus.manifest["rows"]
    windows = {name for name in configs if "-" in name}
    assert set(configs) - windows == {name for name, n in rows.items() if n}
    assert [c for c in configs if configs[c].get("default")] == ["runs"] * bool(
        rows["runs"]
    )
    for config in configs.values():
        (entry,) = config["data_files"]
        globs = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        for glob in globs:
            assert fnmatch.filter(corpus.manifest["files"], glob), glob


def test_a_window_is_the_files_of_its_segments(facts_of, corpus_of):
    configs = {c["config_name"]: c for c in hub_configs(facts_of("many"))}
    files = corpus_of("many").manifest["files"]
    for last, edge in enumerate(WINDOW_EDGES[:-1]):
        (entry,) = configs[f"curves-w{edge:02d}"]["data_files"]
        globs = entry["path"] if isinstance(entry["path"], list) else [entry["path"]]
        found = {name for glob in globs for name in fnmatch.filter(files, glob)}
        assert found == {f"curves/segment-{k}-00000.parquet" for k in range(last + 1)}


def test_the_front_matter_is_plain_yaml(facts_of):
    text = card_text(facts_of("strange"), notes())
    data = yaml.safe_load(text.split("---\n")[1])
    assert data["pretty_name"] == facts_of("strange").name
    assert data["size_categories"] == ["n<1K"]
    assert data["license"] == "cc-by-4.0"


def test_a_release_shows_its_figures_and_its_changes(facts_of):
    picture = type("Picture", (), {"name": "one.png", "caption": "Points | lines"})()
    text = card_text(facts_of("many"), notes(), [picture])
    assert r"![Points \| lines](figures/one.png)" in text
    first, second = (text.index(f"**{version}**") for version in ("1.1.0", "1.0.0"))
    assert first < second
    assert r"Twelve \| more &lt;runs&gt;." in text


def test_a_blind_release_says_what_is_hidden(facts_of):
    facts = dataclasses.replace(facts_of("many"), blind=BLIND)
    text = card_text(facts, notes())
    check(text)
    assert "## What is hidden" in text
    assert r"| w20 | until: 0.2, settings: \['optimizer.name'\] |" in text
    assert "| final | version: 1, window: w20 |" in text
    assert "| metadata | p: 0.41 |" in text
    assert "- a &lt;b&gt;reason&lt;/b&gt;" in text
    assert "What is hidden" not in card_text(facts_of("many"), notes())


def test_limits_are_those_of_the_corpus(facts_of):
    told = " ".join(limits(facts_of("many")))
    assert "3 runs diverged" in told
    assert "Only 3 families" in told
    assert "one data set and one model" in told
    assert "failed" not in told
    told = " ".join(limits(facts_of("failed")))
    assert "2 runs failed" in told
    assert "1 family has a single run" in " ".join(limits(facts_of("one")))
    assert "does not tell which models" in " ".join(limits(facts_of("imported")))
    assert limits(facts_of("empty")) == []


@pytest.mark.slow
def test_the_lines_of_a_card_do_what_they_say(corpus_of, monkeypatch, tmp_path):
    corpus = corpus_of("many")
    monkeypatch.chdir(corpus.folder)
    text = (corpus.folder / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(blocks) == 6
    names = {}
    first = blocks[0].replace(
        "load_dataset(here,", "load_dataset(here, cache_dir=cache,"
    )
    first = re.sub(r'load_dataset\(here, cache_dir=cache, "([^"]+)"', _named, first)
    exec("cache = " + repr(str(tmp_path)) + "\n" + first, names)
    for block in blocks[1:]:
        exec(block, names)
    early = corpus.curves(["train_loss"], until=0.2)
    assert len(names["known"]) == len(early) == len(names["early"])
    assert set(names["known"]["final.test_accuracy"]) == set(
        corpus.runs()["final.test_accuracy"]
    )
    assert set(names["first"]) == {"run_id", "segment", "signal", "steps", "values"}
    assert len(list(names["folds"])) == 3


def _named(match):
    return f'load_dataset(here, "{match[1]}", cache_dir=cache'


def test_foreign_text_has_no_meaning():
    assert plain("a|b\n<i>*_`[x]\\") == r"a\|b &lt;i&gt;\*_\`\[x\]" + "\\\\"
    assert code("optimizer.lr") == "`optimizer.lr`"
    assert code("`x` |") == r"\`x\` \|"
    assert bibtex("50 % of {a_b}\n") == r"50 \% of \{a\_b\}"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (59.0, "59 s"),
        (60.0, "1 min"),
        (5400.0, "1.5 h"),
        (1e8, "27,778 h"),
    ],
)
def test_durations_have_a_unit_that_suits(seconds, text):
    assert duration(seconds) == text


def test_sizes_are_decimal():
    assert [size(n) for n in (0, 999, 1000, 25_400_000)] == [
        "0 B",
        "999 B",
        "1 kB",
        "25.4 MB",
    ]
