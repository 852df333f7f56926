"""S-12: a pull request is data; nothing of it is checked out, run or believed."""

import json
import os
import subprocess
import sys

import pytest

from leaderboard.intake.files import read_folder
from leaderboard.intake.limits import FILE_BYTES, FILES
from leaderboard.problems import CODES, Rejected
from leaderboard.pull import main, pull, write
from tests.conftest import ROOT
from tests.leaderboard.process.repository import (
    CARD,
    PLACE,
    TABLE,
    Repository,
    submission,
)

HOSTILE = [
    "$(touch x)", "`touch x`", "a;touch x", "-rf", "--output=x", "a\nb", "a\rb",
    "\x1b[2J", "caf\u00e9", "\u202egpj", "a b", "a|b", "*", ":(top)x", ":!x",
    "con.csv", "x" * 200, "%s%n", "{{7*7}}", "${{ github.token }}", "a\\..\\b",
    "::set-output name=a::b",
]  # fmt: skip


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Objects are only ever added to it."""
    return Repository(tmp_path_factory.mktemp("pull") / "repository.git")


@pytest.fixture
def own(tmp_path):
    """One whose settings may be changed."""
    return Repository(tmp_path / "repository.git")


def taken(repository, files, **changes):
    head = repository.commit(files, repository.base, **changes)
    return pull(repository.folder, repository.base, head)


def test_s12_a_submission_is_taken_byte_by_byte(repository, tmp_path):
    noise = bytes(range(256)) * 40
    files = submission() | {f"{PLACE}/forest/predictions/curve/w20.parquet": noise}
    pulled = taken(repository, files)
    assert pulled.name == "forest"
    assert pulled.flags == ()
    assert pulled.files == {
        "submission.toml": CARD,
        "predictions/final-acc/w20.csv": TABLE,
        "predictions/curve/w20.parquet": noise,
    }
    folder = write(pulled, tmp_path / "out")
    assert read_folder(folder) == pulled.files


def test_s12_what_the_base_has_since_gained_is_no_change(repository):
    head = repository.commit(submission(), repository.base)
    later = repository.commit({"harness.py": b"new"}, repository.base)
    assert pull(repository.folder, later, head).name == "forest"


def test_s12_a_head_that_would_take_back_what_was_merged_is_refused(own):
    """Against the first of two merge bases nothing else is changed; merged, it is."""
    mend = own.commit({"mend.py": b"safe\n"}, own.base)
    other = own.commit({"other.md": b"x\n"}, own.base)
    both = {"mend.py": b"safe\n", "other.md": b"x\n"}
    merged = own.git("merge-tree", "--write-tree", mend, other)
    base = own.git("commit-tree", merged, "-p", mend, "-p", other, "-m", "x")
    without = own.commit(submission(), other)  # as if `mend` had never been
    tree = own.git("rev-parse", f"{without}^{{tree}}")
    head = own.git("commit-tree", tree, "-p", other, "-p", mend, "-m", "x")
    result = own.git("merge-tree", "--write-tree", base, head)
    left = own.git("ls-tree", "-r", "--name-only", result).split()
    assert set(both) - set(left) == {"mend.py"}
    with pytest.raises(Rejected, match=r"2 commits are where it branched off"):
        pull(own.folder, base, head)


def test_s12_a_change_of_a_submission_is_flagged_and_taken_whole(repository):
    base = repository.commit(submission(), repository.base)
    card = b'name = "Mine now"\n'
    head = repository.commit({f"{PLACE}/forest/submission.toml": card}, base)
    pulled = pull(repository.folder, base, head)
    assert pulled.files["submission.toml"] == card
    assert pulled.files["predictions/final-acc/w20.csv"] == TABLE
    assert pulled.flags == ("forest is there already: is this its owner?",)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("where", [
    "{}", f"{PLACE}/{{}}/submission.toml", f"{PLACE}/forest/predictions/{{}}/w20.csv",
])  # fmt: skip
def test_s12_hostile_names_are_refused_and_nothing_happens(
    repository, tmp_path, monkeypatch, name, where
):
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(Rejected, match=r"\[bad_path\]") as error:
        taken(repository, submission() | {where.format(name): b"x"})
    told = str(error.value)
    assert told.isascii()
    assert all(part.isprintable() for part in told.split("\n  "))
    assert all(problem.where == "pull request" for problem in error.value.problems)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", ["..", ".", ".git", "a/../b"])
@pytest.mark.parametrize("inner", [False, True])
def test_s08_paths_that_leave_the_folder_are_refused(repository, name, inner):
    blob = repository.blob(TABLE)
    tree = repository.tree(("100644", name, blob))
    if inner:
        card = repository.blob(CARD)
        tree = repository.tree(("40000", name, tree), ("100644", "zz", card))
    for part in ("forest", "submissions", "leaderboard"):
        tree = repository.tree(("40000", part, tree))
    head = repository.commit_tree(tree, repository.base)
    with pytest.raises(Rejected, match=r"\[bad_path\]"):
        pull(repository.folder, repository.base, head)


def test_s08_a_name_that_stands_there_twice_is_refused(repository):
    one, two = repository.blob(CARD), repository.blob(b"name = 1\n")
    tree = repository.tree(
        ("100644", "submission.toml", one), ("100644", "submission.toml", two)
    )
    readme = repository.git("rev-parse", f"{repository.base}:README.md")
    keep = repository.git("rev-parse", f"{repository.base}:{PLACE}/.keep")
    tree = repository.tree(("100644", ".keep", keep), ("40000", "forest", tree))
    tree = repository.tree(("40000", "submissions", tree))
    tree = repository.tree(
        ("100644", "README.md", readme), ("40000", "leaderboard", tree)
    )
    head = repository.commit_tree(tree, repository.base)
    with pytest.raises(Rejected, match=r"a name stands there twice"):
        pull(repository.folder, repository.base, head)


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("120000", "a symbolic link"),
        ("100755", "an executable"),
        ("160000", "a submodule"),
    ],
)
@pytest.mark.parametrize("path", [
    "forest/submission.toml", "forest/predictions/final-acc/w20.csv",
    "forest/predictions", "forest",
])  # fmt: skip
def test_s08_links_submodules_and_executables_are_refused(repository, mode, kind, path):
    sha = repository.base if mode == "160000" else repository.blob(b"/etc/passwd")
    whole = f"{PLACE}/{path}"
    files = {k: v for k, v in submission().items() if not k.startswith(whole)}
    match = kind if "/" in path else r"other file\(s\) are changed"
    with pytest.raises(Rejected, match=match):
        taken(repository, files | {whole: (mode, sha)})


def test_s08_the_place_itself_turned_into_a_link_is_refused(repository):
    link = {PLACE: ("120000", repository.blob(b"/tmp"))}
    with pytest.raises(Rejected, match=r"other file\(s\) are changed"):
        taken(repository, link, remove=[f"{PLACE}/.keep"])


def test_s12_other_changed_files_are_named(repository):
    more = {".github/workflows/submission.yml": b"on: push", "setup.py": b"import os"}
    match = r"2 other file\(s\) .*'\.github/workflows/submission\.yml', 'setup\.py'"
    with pytest.raises(Rejected, match=match):
        taken(repository, submission() | more)


def test_s12_a_long_list_of_other_files_is_cut(repository):
    empty = ("100644", repository.blob(b""))
    with pytest.raises(Rejected, match=r"300 other file\(s\) .*, \.\.\.: change"):
        taken(repository, submission() | {f"x/{n}": empty for n in range(300)})


def test_s12_two_submissions_at_once_are_refused(repository):
    with pytest.raises(Rejected, match=r"2 submissions are changed: forest, lasso"):
        taken(repository, submission() | submission("lasso"))


def test_s12_removing_somebody_s_submission_is_refused(repository):
    base = repository.commit(submission("theirs"), repository.base)
    removed = list(submission("theirs"))
    head = repository.commit({}, base, remove=removed)
    with pytest.raises(Rejected, match=r"the submission theirs is removed"):
        pull(repository.folder, base, head)
    head = repository.commit(submission("mine"), base, remove=removed)
    with pytest.raises(Rejected, match=r"2 submissions are changed: mine, theirs"):
        pull(repository.folder, base, head)


def test_s12_a_renamed_file_is_a_removal_and_an_addition(repository):
    """Git would tell the new name alone, and README.md would be gone."""
    base = repository.commit({"big.csv": TABLE * 50}, repository.base)
    files = submission(**{"predictions/final-acc/w20.csv": TABLE * 50})
    head = repository.commit(files, base, remove=["big.csv"])
    with pytest.raises(Rejected, match=r"1 other file\(s\) are changed: 'big\.csv'"):
        pull(repository.folder, base, head)


@pytest.mark.parametrize(
    "path",
    [
        f"{PLACE}/Forest/submission.toml",
        "leaderboard/Submissions/forest/submission.toml",
        f"{PLACE}/forest/Submission.toml",
        f"{PLACE}/forest/submission.TOML",
        f"{PLACE}/forest/Predictions/final-acc/w20.csv",
        f"{PLACE}/forest/predictions/final-acc/W20.csv",
        f"{PLACE}/forest/submission.toml/x",
    ],
)
def test_s08_names_that_another_system_would_confuse_are_refused(repository, path):
    blob = {f"{PLACE}/forest/predictions/final-acc/w04.csv": TABLE}
    with pytest.raises(Rejected, match=r"\[bad_path\]"):
        taken(repository, blob | {path: b"x"})


def test_s12_attributes_filters_and_settings_of_the_repository_do_nothing(
    own, tmp_path, monkeypatch
):
    """Git would run all of these for who diffs or checks out."""
    spy = tmp_path / "spy"
    spy.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\ncat\n")
    spy.chmod(0o755)
    for key in (
        "filter.x.smudge", "filter.x.clean", "diff.x.textconv", "diff.x.command",
        "diff.external", "core.pager", "core.fsmonitor", "core.sshCommand",
        "core.editor", "core.gitProxy",
    ):  # fmt: skip
        own.git("config", key, str(spy))
    (own.folder / "info").mkdir(exist_ok=True)
    (own.folder / "info" / "attributes").write_text("* filter=x diff=x\n")
    for variable in ("GIT_EXTERNAL_DIFF", "GIT_PAGER", "PAGER", "GIT_SSH_COMMAND"):
        monkeypatch.setenv(variable, str(spy))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    pulled = taken(own, submission())
    assert pulled.files["predictions/final-acc/w20.csv"] == TABLE
    assert not (tmp_path / "ran").exists()
    with pytest.raises(Rejected, match=r"'.*/\.gitattributes' belongs to no"):
        taken(own, submission(**{".gitattributes": b"* filter=x"}))


def test_s12_a_replaced_object_is_not_believed(own):
    """refs/replace would let one digest give other bytes."""
    head = own.commit(submission(), own.base)
    evil = own.blob(b"evil\n")
    own.git("replace", "-f", own.blob(TABLE), evil)
    pulled = pull(own.folder, own.base, head)
    assert pulled.files["predictions/final-acc/w20.csv"] == TABLE


def test_s07_a_huge_file_is_refused_unread(repository):
    big = FILE_BYTES + 1
    path = repository.folder / "big"
    with path.open("wb") as file:
        file.truncate(big)
    sha = repository.git("hash-object", "-w", str(path))
    file = {f"{PLACE}/forest/predictions/final-acc/w10.csv": ("100644", sha)}
    with pytest.raises(Rejected, match=r"\[too_large\].* 50,000,001 bytes, allowed"):
        taken(repository, submission() | file)


def test_s07_many_files_of_allowed_size_are_refused_unread(repository):
    path = repository.folder / "big"
    with path.open("wb") as file:
        file.truncate(FILE_BYTES)
    sha = repository.git("hash-object", "-w", str(path))
    more = {f"{PLACE}/forest/predictions/a/{n}.csv": ("100644", sha) for n in range(5)}
    with pytest.raises(Rejected, match=r"\[too_large\].* 7 files of 250,000,0"):
        taken(repository, submission() | more)


def test_s07_too_many_files_are_refused(repository):
    sha = repository.blob(TABLE)
    more = {
        f"{PLACE}/forest/predictions/a/{n}.csv": ("100644", sha) for n in range(FILES)
    }
    with pytest.raises(Rejected, match=rf"\[too_large\].* {FILES + 2} files of"):
        taken(repository, submission() | more)


def test_s07_an_endless_list_of_changes_is_not_read(repository):
    name = "x" * 250
    sha = repository.blob(b"")
    leaf = repository.tree(*[("100644", f"{n:05}{name}", sha) for n in range(2000)])
    top = repository.tree(*[("40000", f"{n:02}", leaf) for n in range(12)])
    head = repository.commit_tree(top, repository.base)
    with pytest.raises(Rejected, match=r"\[too_large\] git diff-tree says more than"):
        pull(repository.folder, repository.base, head)


@pytest.mark.parametrize(
    "sha", ["HEAD", "--help", "main", "a" * 39, "A" * 40, "$(touch x)", "a" * 40 + "\n"]
)
def test_s12_a_commit_is_named_by_its_digest_alone(repository, sha):
    with pytest.raises(ValueError, match=r"expected a full digest"):
        pull(repository.folder, repository.base, sha)


def test_a_commit_that_is_not_there_is_told(repository):
    with pytest.raises(ValueError, match=r"git merge-base ended with .*git fetch"):
        pull(repository.folder, repository.base, "a" * 40)


def test_nothing_changed_is_told(repository):
    with pytest.raises(Rejected, match=r"nothing is changed"):
        taken(repository, {})


def test_every_code_is_known(repository):
    with pytest.raises(Rejected, match=r"problem\(s\)") as error:
        taken(repository, submission() | {"x": b"", f"{PLACE}/forest/a": b""})
    assert {problem.code for problem in error.value.problems} <= set(CODES)


def test_a_folder_that_exists_is_not_written_to(repository, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(FileExistsError, match=r"out"):
        write(taken(repository, submission()), tmp_path / "out")


def test_the_command_writes_files_and_says_what_they_are(repository, tmp_path):
    head = repository.commit(submission(), repository.base)
    out = tmp_path / "out"
    done = subprocess.run(
        [sys.executable, "-m", "leaderboard.pull", "--repository", repository.folder,
         "--base", repository.base, "--head", head, "--out", out],
        cwd=ROOT, capture_output=True, text=True, check=True,
        env=dict(os.environ, GIT_DIR="/nonexistent"),
    )  # fmt: skip
    told = json.loads(done.stdout)
    assert told["name"] == "forest"
    assert (out / "forest" / "submission.toml").read_bytes() == CARD
    assert (out / "forest" / "submission.toml").stat().st_mode & 0o111 == 0


def test_the_command_fails_in_words(repository, tmp_path, capsys):
    head = repository.commit({"x": b""}, repository.base)
    out = str(tmp_path / "out")
    given = ["--repository", str(repository.folder), "--base", repository.base]
    assert main([*given, "--head", head, "--out", out]) == 1
    assert "1 other file(s) are changed: 'x'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
