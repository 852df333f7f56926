"""S-12: what the workflow files allow, and what their scripts do when run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.leaderboard.process.repository import CARD, Repository, submission

FOLDER = ROOT / ".github" / "workflows"
NAMES = ("ci", "hidden", "pages", "submission")
HOSTILE = "$(touch hacked)`touch hacked`\";touch hacked;'\n::add-path::/tmp"
TRUSTED = re.compile(
    r"github\.(ref|run_id|repository|server_url|token)|steps\.deployment\.outputs\.\w+|"
    r"github\.event\.repository\.default_branch|vars\.\w+ \|\| '[\w/-]+'|vars\.\w+|"
    r"secrets\.HIDDEN_TARGETS_TOKEN|"
    # Chosen by GitHub, not by who writes a pull request:
    r"github\.event\.pull_request\.(number|base\.sha|head\.sha)|"
    r"github\.event\.workflow_run\.(head_sha|head_repository\.owner\.login)"
)


def text(name):
    return (FOLDER / f"{name}.yml").read_text(encoding="utf-8")


def workflow(name):
    found = yaml.safe_load(text(name))
    found["on"] = found.pop(True)  # YAML 1.1 reads `on` as true
    return found


def steps(name):
    return [step for job in workflow(name)["jobs"].values() for step in job["steps"]]


def strings(value):
    """Yield every text within."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from strings(key)
            yield from strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from strings(inner)
    elif isinstance(value, str):
        yield value


def test_these_are_all_the_workflows():
    assert sorted(path.name for path in FOLDER.iterdir()) == [f"{n}.yml" for n in NAMES]


@pytest.mark.parametrize("name", NAMES)
def test_s12_no_workflow_runs_with_rights_on_a_pull_request(name):
    assert "pull_request_target" not in text(name)
    assert (
        set(workflow(name)["on"])
        <= {
            "hidden": {"workflow_run"},
            "submission": {"pull_request"},
            "ci": {"push", "pull_request"},
            "pages": {"push", "workflow_dispatch"},
        }[name]
    )


@pytest.mark.parametrize("name", NAMES)
def test_s12_no_script_holds_an_expression(name):
    for step in steps(name):
        assert "${{" not in step.get("run", "")
        assert "eval" not in step.get("run", "")
        assert step.get("shell") is None


@pytest.mark.parametrize("name", NAMES)
def test_s12_every_expression_is_one_that_nobody_can_forge(name):
    found = [e for t in strings(workflow(name)) for e in re.findall(r"\${{(.*?)}}", t)]
    assert len(found) >= 1
    for expression in found:
        assert TRUSTED.fullmatch(expression.strip()), expression


@pytest.mark.parametrize("name", NAMES)
def test_s12_every_token_has_the_least_rights(name):
    found = workflow(name)
    rights = {
        key: job.get("permissions", found["permissions"])
        for key, job in found["jobs"].items()
    }
    assert (
        rights
        == {
            "ci": {"check": {"contents": "read"}},
            "submission": {"check": {"contents": "read"}},
            "hidden": {"score": {"contents": "write", "statuses": "write"}},
            "pages": {
                "build": {"contents": "read"},
                "deploy": {"pages": "write", "id-token": "write"},
            },
        }[name]
    )
    assert found["permissions"] in ({}, {"contents": "read"})


@pytest.mark.parametrize("name", NAMES)
def test_s12_every_action_is_github_s_own_and_named_by_its_commit(name):
    used = [step["uses"] for step in steps(name) if "uses" in step]
    assert len(used) >= 1
    for one in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", one)
        assert re.search(rf"{re.escape(one)} # v\d+\.\d+\.\d+\n", text(name))


@pytest.mark.parametrize("name", NAMES)
def test_s12_no_checkout_keeps_a_token_or_takes_a_head(name):
    found = [s for s in steps(name) if s.get("uses", "").startswith("actions/checkout")]
    expected = {
        "ci": [None],
        "pages": [None],
        "submission": ["${{ github.event.pull_request.base.sha }}"],
        "hidden": ["${{ github.event.repository.default_branch }}", "ledger"],
    }[name]
    assert [step["with"].get("ref") for step in found] == expected
    assert all(step["with"]["persist-credentials"] is False for step in found)
    scripts = "\n".join(step.get("run", "") for step in steps(name))
    for command in ("git checkout", "git switch", "git merge", "git worktree", "gh pr"):
        assert command not in scripts
    assert "repository" not in {key for step in found for key in step["with"]}


@pytest.mark.parametrize("name", NAMES)
def test_every_job_ends_and_none_runs_twice_at_once(name):
    found = workflow(name)
    assert set(found["concurrency"]) == {"group", "cancel-in-progress"}
    assert all(job["timeout-minutes"] <= 120 for job in found["jobs"].values())
    assert all(job["runs-on"] == "ubuntu-24.04" for job in found["jobs"].values())


def test_s12_secrets_are_seen_by_one_step_of_the_protected_job():
    assert [name for name in NAMES if "secrets." in text(name)] == ["hidden"]
    (job,) = workflow("hidden")["jobs"].values()
    assert job["environment"] == "hidden-targets"
    (step,) = [s for s in job["steps"] if "secrets." in str(s)]
    assert step["run"].count("harness download") == 2
    assert "taken" not in step["run"]
    assert step["env"]["HF_TOKEN"] == "${{ secrets.HIDDEN_TARGETS_TOKEN }}"


def test_s12_the_hidden_workflow_believes_nothing_of_the_first_one():
    found = workflow("hidden")
    assert found["on"]["workflow_run"]["workflows"] == [workflow("submission")["name"]]
    (job,) = found["jobs"].values()
    assert "workflow_run.conclusion == 'success'" in job["if"]
    assert "workflow_run.event == 'pull_request'" in job["if"]
    assert "download-artifact" not in text("hidden")
    assert "head_branch" not in text("hidden")


def test_s12_the_submission_workflow_starts_for_submissions():
    paths = workflow("submission")["on"]["pull_request"]["paths"]
    assert paths == ["leaderboard/submissions/**"]


def test_ci_runs_what_everybody_runs():
    assert [step["run"] for step in steps("ci") if "run" in step] == [".ci/run"]


def test_s12_zizmor_finds_nothing(tmp_path):
    zizmor = shutil.which("zizmor", path=Path(sys.executable).parent)
    assert zizmor is not None, "install the dev extra"
    done = subprocess.run(
        [zizmor, "--offline", "--no-progress", "--no-config", str(FOLDER)],
        capture_output=True, text=True, env={"HOME": str(tmp_path)},
    )  # fmt: skip
    assert (done.returncode, "No findings" in done.stdout) == (0, True), done.stdout


HARNESS = """#!/bin/bash
printf '%s\\n' "$@" "--" >> "$SPY/calls"
case "$1 $2" in
    "leaderboard check") test ! -e "$SPY/reject" || { echo "::error::bad"; exit 1; } ;;
    "leaderboard add")
        test ! -e "$SPY/taken" || { echo "another has the same name"; exit 1; } ;;
    "leaderboard score") shift 2
        while [ $# -gt 0 ]; do
            if [ "$1" = --ledger ]; then echo '{"line":1}' >> "$2"; fi
            shift
        done ;;
esac
echo "forest | 0.31 <img src=x>"
"""


class Runner:
    """Runs a workflow's scripts with bash, as its runner does, in a clone."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spy, self.bin = folder, folder / "spy", folder / "bin"
        self.origin = Repository(folder / "origin.git")
        self.origin.git("branch", "main", self.origin.base)
        self.origin.git("branch", "ledger", self.origin.commit({"ledger.jsonl": b""}))
        self.origin.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.work = folder / "work"
        self.clone("main", self.work)
        self.clone("ledger", self.work / "ledger")
        self.spy.mkdir()
        self.bin.mkdir()
        python = f'#!/bin/bash\ntest "$2" = pip || exec {sys.executable} "$@"\n'
        gh = '#!/bin/bash\nprintf "%s\\n" "$@" "--" >> "$SPY/gh"\n'
        for name, script in (("harness", HARNESS), ("python", python), ("gh", gh)):
            (self.bin / name).write_text(script)
            (self.bin / name).chmod(0o755)

    def clone(self, branch, place):
        self.origin.git("clone", "-q", "-b", branch, f"file://{self.origin.folder}",
                        str(place))  # fmt: skip

    def run(self, name, values):
        """Run the scripts one after the other; stop at a failure, return its code."""
        (job,) = workflow(name)["jobs"].values()
        for step in job["steps"]:
            if "run" not in step:
                continue
            given = {key: self.value(text, values) for key, text in
                     step.get("env", {}).items()}  # fmt: skip
            code = self.script(step["run"], given)
            if code:
                return code
        return 0

    def value(self, text, values):
        return re.sub(r"\${{ (.*?) }}", lambda found: values[found[1]], text)

    def script(self, script, given):
        path = self.folder / "script.sh"
        path.write_text(script)
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(path)],
            cwd=self.work, capture_output=True, text=True,
            env={
                "PATH": f"{self.bin}:{os.environ['PATH']}", "HOME": str(self.folder),
                "PYTHONPATH": str(ROOT), "SPY": str(self.spy),
                "GITHUB_STEP_SUMMARY": str(self.folder / "summary"), **given,
            },
        )  # fmt: skip
        self.said = done.stdout + done.stderr
        return done.returncode

    @property
    def summary(self):
        path = self.folder / "summary"
        return path.read_text() if path.exists() else ""

    def calls(self, name="calls"):
        """Return the arguments of each call of the fake command."""
        path = self.spy / name
        told = path.read_text().split("\n--\n")[:-1] if path.exists() else []
        return [call.split("\n") for call in told]

    def hacked(self):
        return [path for path in self.folder.rglob("*") if "hacked" in path.name]


@pytest.fixture
def runner(tmp_path):
    return Runner(tmp_path)


def of_pull_request(runner, head, corpora="corpora/t4-digits ORG/t4@v1.0.0"):
    event = "github.event.pull_request"
    return {
        f"{event}.base.sha": runner.origin.base,
        f"{event}.head.sha": head,
        "vars.LEADERBOARD_CORPORA || 'corpora/t4-digits'": corpora,
    }


def of_workflow_run(head, owner="Ada-L"):
    event = "github.event.workflow_run"
    return {
        f"{event}.head_sha": head,
        f"{event}.head_repository.owner.login": owner,
        "secrets.HIDDEN_TARGETS_TOKEN": "hf_secret",
        "vars.HIDDEN_CORPUS": "ORG/t4-blind@v1.0.0",
        "vars.HIDDEN_TARGETS": "ORG/t4-targets@v1.0.1",
        "github.token": "t",
        "github.repository": "org/runcast",
        "github.server_url": "https://example.org",
        "github.run_id": "7",
    }


def test_s12_a_pull_request_is_checked_and_scored_by_the_base(runner):
    head = runner.origin.commit(submission(), runner.origin.base)
    assert runner.run("submission", of_pull_request(runner, head)) == 0
    corpora = ["--corpus=corpora/t4-digits", "--corpus=ORG/t4@v1.0.0"]
    steps = (["check"], ["add", "--replace"], ["score"])
    assert runner.calls() == [
        ["leaderboard", word, "taken/forest", *more, *corpora] for word, *more in steps
    ]
    assert (runner.work / "taken/forest/submission.toml").read_bytes() == CARD
    assert not (runner.work / "leaderboard/submissions/forest").exists()
    # Markdown of a stranger stays text: every line is indented.
    lines = runner.summary.splitlines()
    assert "    forest | 0.31 <img src=x>" in lines
    assert all(line.startswith("    ") for line in lines)


def test_s12_a_rejected_submission_is_not_scored_and_told_in_the_summary(runner):
    (runner.spy / "reject").touch()
    head = runner.origin.commit(submission(), runner.origin.base)
    assert runner.run("submission", of_pull_request(runner, head)) == 1
    assert [call[1] for call in runner.calls()] == ["check"]
    assert "    ::error::bad" in runner.summary
    assert "::error" not in runner.said  # it would be a command to the runner


def test_s09_a_name_that_is_taken_is_told_before_it_is_merged(runner):
    (runner.spy / "taken").touch()
    head = runner.origin.commit(submission(), runner.origin.base)
    assert runner.run("submission", of_pull_request(runner, head)) == 1
    assert [call[1] for call in runner.calls()] == ["check", "add"]
    assert "    another has the same name" in runner.summary


@pytest.mark.parametrize("name", ["submission", "hidden"])
def test_s12_hostile_files_reach_no_shell(runner, name):
    files = submission() | {f"leaderboard/submissions/forest/{HOSTILE}": b"x"}
    head = runner.origin.commit(files, runner.origin.base)
    values = of_pull_request(runner, head) | of_workflow_run(head)
    assert runner.run(name, values) == 1
    assert "    " in runner.summary
    assert "belongs to no submission" in runner.summary
    assert runner.calls() == []
    assert runner.hacked() == []
    assert "::add-path" not in runner.said


@pytest.mark.parametrize("name", ["submission", "hidden"])
def test_s12_hostile_values_of_the_event_reach_no_shell(runner, name):
    """None is chosen by a stranger; were one, it would still be data."""
    values = of_pull_request(runner, HOSTILE) | of_workflow_run(HOSTILE, HOSTILE)
    assert runner.run(name, values) != 0
    head = runner.origin.commit(submission(), runner.origin.base)
    values = of_pull_request(runner, head, corpora=HOSTILE.split("\n")[0])
    runner.run(name, values | of_workflow_run(head, HOSTILE))
    assert runner.hacked() == []


def test_s20_what_is_announced_is_first_pushed(runner):
    head = runner.origin.commit(submission(), runner.origin.base)
    assert runner.run("hidden", of_workflow_run(head)) == 0
    assert runner.calls() == [
        ["download", "ORG/t4-blind", "--revision", "v1.0.0", "--out", "corpus"],
        ["download", "ORG/t4-targets", "--revision", "v1.0.1", "--out", "targets"],
        ["leaderboard", "score", "taken/forest", "--corpus", "corpus", "--targets",
         "targets", "--ledger", "ledger/ledger.jsonl", "--team", "ada-l"],
    ]  # fmt: skip
    assert runner.origin.git("show", "ledger:ledger.jsonl") == '{"line":1}'
    assert runner.origin.git("rev-parse", "main") == runner.origin.base
    assert "    forest | 0.31" in runner.summary
    login, status = runner.calls("gh")
    assert login == ["auth", "setup-git"]
    assert f"repos/org/runcast/statuses/{head}" in status


def test_s20_a_ledger_that_moved_on_announces_nothing(runner):
    parent = runner.origin.git("rev-parse", "ledger")
    later = runner.origin.commit({"ledger.jsonl": b"other\n"}, parent)
    runner.origin.git("update-ref", "refs/heads/ledger", later)
    head = runner.origin.commit(submission(), runner.origin.base)
    assert runner.run("hidden", of_workflow_run(head)) != 0
    assert runner.summary == ""
    assert [call[0] for call in runner.calls("gh")] == ["auth"]
    assert runner.origin.git("rev-parse", "ledger") == later


def test_s12_a_pull_request_that_rewrites_the_workflow_is_not_scored(runner):
    """Its own run may say what it likes: the second one looks again."""
    files = submission() | {".github/workflows/submission.yml": b"on: push"}
    head = runner.origin.commit(files, runner.origin.base)
    assert runner.run("hidden", of_workflow_run(head)) == 1
    assert "1 other file(s) are changed" in runner.summary
    assert runner.calls() == []


def test_s13_no_workflow_runs_a_predictor():
    for name in NAMES:
        for step in steps(name):
            script = step.get("run", "")
            assert "harness predict" not in script
            assert "requirements" not in script
            assert not re.search(r"pip install (?!\.$)", script, re.MULTILINE)
