"""A version goes to the Hub: to a branch, verified, to main in one commit, tagged.

Every step can be run again, whatever became of it the first time, so that the same
command ends the same after any interruption. A tag is set on a commit whose files were
all compared with the manifest, and never moved.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from harness.errors import HubError
from harness.hub.client import KIND, PAUSE_S, hub_api, with_tries
from harness.hub.package import EXTRA, Package

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN: Final = "main"
_SHOWN: Final = 5
"""Differences that are named; the others are counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """Where a version is now."""

    repo: str
    """ "ORG/NAME"."""
    tag: str
    """Such as "v1.0.0"."""
    commit: str
    """The commit under the tag."""
    url: str
    """Its page."""
    outcome: Literal["published", "already published"]
    """Whether anything was left to do."""


def publish(
    package: Package,
    repo: str,
    *,
    private: bool | None = None,
    must_be_private: bool = False,
    say: Callable[[str], None],
    pause_s: float = PAUSE_S,
) -> Published:
    """Publish a version of a corpus as a dataset of the Hub.

    Args:
        package: What is published.
        repo: "ORG/NAME"; made if it does not exist.
        private: Whether a new repository is private; None: as the account has it.
        must_be_private: Refuse a repository that everybody can read.
        say: Takes a line for the user.
        pause_s: Seconds before the second try of what failed.

    Raises:
        HubError: The Hub refused, could not be reached, or holds other files under
            this version. The same command again goes on.
    """
    task = _Publication(hub_api(), package, repo, private, must_be_private, say)
    return with_tries(
        task.run,
        f"publish {package.title} {package.version} as {repo}; what was uploaded is "
        "kept, and the same command again goes on",
        say=say,
        pause_s=pause_s,
    )


@dataclass(slots=True)
class _Publication:
    """One call of `publish`, run as often as it takes."""

    api: "HfApi"
    package: Package
    repo: str
    private: bool | None
    must_be_private: bool
    say: Callable[[str], None]
    outcome: Literal["published", "already published"] = "already published"

    def run(self) -> Published:
        """Do what is left to do."""
        url = self._make_repository()
        refs = self.api.list_repo_refs(self.repo, repo_type=KIND)
        branches = {branch.name for branch in refs.branches}
        tag = self.package.version.tag
        commit = next((t.target_commit for t in refs.tags if t.name == tag), None)
        if commit is None:
            self.outcome = "published"
            self._to_branch()
            branches.add(self.package.branch)
            commit = self._to_main()
            self.api.create_tag(self.repo, tag=tag, revision=commit, repo_type=KIND)
        if different := self._differences(commit):
            raise HubError(
                f"{self.repo} has a version {tag} already, with other files "
                f"({_listed(different)}); a published version is never changed: name "
                "a new one with --version, and say with --changes what is new"
            )
        if self.package.branch in branches:
            self.api.delete_branch(
                self.repo, branch=self.package.branch, repo_type=KIND
            )
        self.say(f"{self.repo}@{tag}: {len(self.package.files)} files verified")
        return Published(
            repo=self.repo, tag=tag, commit=commit, url=url, outcome=self.outcome
        )

    def _make_repository(self) -> str:
        """Make the repository unless it is there; return its page."""
        url = self.api.create_repo(
            self.repo, private=self.private, repo_type=KIND, exist_ok=True
        )
        if not self.must_be_private:
            return str(url)
        if not self.api.repo_info(self.repo, repo_type=KIND).private:
            raise HubError(
                f"{self.repo} can be read by everybody, and {self.package.title} is a "
                "secret: make the repository private in its settings, or name another"
            )
        return str(url)

    def _to_branch(self) -> None:
        """Bring the files to the branch of the version, and compare them there."""
        size = sum(size for size, _ in self.package.files.values())
        self.say(
            f"uploading {len(self.package.files)} files, {size / 1e6:,.1f} MB, to "
            f"{self.repo}"
        )
        branch = self.package.branch
        self.api.create_branch(self.repo, branch=branch, repo_type=KIND, exist_ok=True)
        self.api.upload_folder(
            repo_id=self.repo,
            repo_type=KIND,
            folder_path=self.package.folder,
            revision=branch,
            delete_patterns="*",
            commit_message=self._title,
        )
        if different := self._differences(branch):
            raise OSError(f"{branch} differs: {_listed(different)}")

    def _to_main(self) -> str:
        """Put the files on main in one commit; return it, compared file by file."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        refs = self.api.list_repo_refs(self.repo, repo_type=KIND)
        head = next(b.target_commit for b in refs.branches if b.name == MAIN)
        different = self._differences(head)
        if different:
            self.say(f"verified on {self.package.branch}; to {MAIN}")
            stale = [d.removesuffix(EXTRA) for d in different if d.endswith(EXTRA)]
            folder = self.package.folder
            head = self.api.create_commit(
                self.repo,
                [
                    *(CommitOperationDelete(name) for name in stale),
                    *(CommitOperationAdd(n, folder / n) for n in self.package.files),
                ],
                commit_message=self._title,
                revision=MAIN,
                repo_type=KIND,
                parent_commit=head,
            ).oid
            different = self._differences(head)
        if different:
            raise OSError(f"{MAIN} differs: {_listed(different)}")
        return head

    @property
    def _title(self) -> str:
        return f"{self.package.title} {self.package.version}"

    def _differences(self, revision: str) -> list[str]:
        tree = self.api.list_repo_tree(
            self.repo, recursive=True, revision=revision, repo_type=KIND
        )
        return self.package.differences(tree)


def _listed(different: list[str]) -> str:
    more = len(different) - _SHOWN
    return "; ".join(different[:_SHOWN]) + (f"; {more} more" if more > 0 else "")
