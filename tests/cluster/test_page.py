"""docs/cluster.md and its files say what there is; no SLURM is needed for that."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.harness.test_cli import ROOT

PAGE = (ROOT / "docs" / "cluster.md").read_text()
FILES = sorted((ROOT / "docs" / "cluster").iterdir())
SUBMITTED = [path for path in FILES if path.suffix == ".sbatch"]


def commands() -> list[list[str]]:
    """Return the words of every command in the page's blocks."""
    blocks = re.findall(r"^```\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def options_of(program: str, command_line) -> set[str]:
    """Return the options that a program's own help names."""
    if program == "harness.work":
        from harness import work

        text = work._parser().format_help()
    else:
        text = command_line(program, "--help")[1]
    return set(re.findall(r"--[a-z][a-z-]*", text))


@pytest.mark.parametrize(
    "program", ["harness.work", "generate", "verify", "status", "merge"]
)
def test_every_option_in_a_command_exists(program, command_line):
    known = options_of(program, command_line)
    shown = 0
    for words in commands():
        if program not in words or (
            program != "harness.work" and "harness" not in words
        ):
            continue
        given = {w for w in words[words.index(program) :] if w.startswith("--")}
        assert given <= known
        shown += 1
    assert shown > 0


def test_every_file_is_named_in_the_page_and_every_named_file_is_there():
    named = set(re.findall(r"docs/cluster/[a-z.]+[a-z]", PAGE))
    assert named == {f"docs/cluster/{path.name}" for path in FILES}


def test_where_there_are_no_hard_links_the_page_sends_to_a_local_disk():
    (row,) = (line for line in PAGE.splitlines() if "without hard links" in line)
    assert row.startswith("| ")
    assert "on a local disk" in row


@pytest.mark.parametrize("path", SUBMITTED, ids=lambda path: path.name)
def test_a_job_script_is_sound_for_bash(path: Path):
    done = subprocess.run(["bash", "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert "#SBATCH" in path.read_text()


def test_ray_accepts_the_description_of_the_cloud_and_refuses_a_wrong_one():
    pytest.importorskip("ray")
    import jsonschema
    from ray.autoscaler._private.util import prepare_config, validate_config

    text = (ROOT / "docs" / "cluster" / "cloud.yaml").read_text()
    filled = prepare_config(yaml.safe_load(text))
    validate_config(filled)
    types = filled["available_node_types"]
    assert types["worker"]["max_workers"] == 4
    assert (
        types["worker"]["node_config"]["InstanceMarketOptions"]["MarketType"] == "spot"
    )
    assert "InstanceMarketOptions" not in types["head"]["node_config"]
    with pytest.raises(jsonschema.ValidationError, match=r"nonsense"):
        validate_config(filled | {"nonsense": 1})


def test_the_cloud_trains_once_its_workers_are_there_and_on_a_device_by_name(
    command_line,
):
    said = [" ".join(words) for words in commands() if words[0] == "ray"]
    order = ("ray up", "ray status", "harness generate", "ray down")
    places = [next(i for i, line in enumerate(said) if each in line) for each in order]
    assert places == sorted(places)
    given = set(re.findall(r"--[a-z][a-z-]*", said[places[2]])) - {"--tmux"}  # of Ray
    assert "--device" in given
    assert given <= options_of("generate", command_line)


def test_the_cloud_installs_with_the_script_of_this_repository():
    setup = yaml.safe_load((ROOT / "docs" / "cluster" / "cloud.yaml").read_text())
    assert "scripts/environment ray" in setup["setup_commands"][0]
    assert (ROOT / "scripts" / "environment").exists()
