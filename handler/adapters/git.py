"""Repositories, by GitPython. Implements ``Code``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import git

from handler.adapters.process import run
from handler.core import limits
from handler.core.events import hide_secret
from handler.errors import Permanent, Temporary

_ENVIRONMENT = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:http:ssh:git",
    "GIT_SSH_COMMAND": "ssh -o BatchMode=yes -o ConnectTimeout=15 -o StrictHostKeyChecking=accept-new",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_LFS_SKIP_SMUDGE": "1",
}
_UNREACHABLE = re.compile(
    r"could not resolve|unable to (access|connect)|connection (timed out|refused|reset)|no route|timed out", re.IGNORECASE
)


_COMMIT = re.compile(r"^[0-9a-f]{40,64}$")


class Git:
    """Shallow clones of one branch, or of one commit."""

    def fetch(self, repo: str, branch: str, directory: str, commit: str = "") -> str:
        target = Path(directory)
        temporary = target.with_name(f".{target.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            with _clone(repo, branch, temporary) as clone:
                found = clone.head.commit.hexsha
            if commit and commit != found:
                _go_to(repo, branch, temporary, commit)
                found = commit
            run(["sync", "--file-system", str(temporary)], seconds=limits.IMAGES)  # a checkout that is there counts as whole
            temporary.rename(target)
        except git.GitCommandError as error:
            raise _explained(error, repo, branch) from error
        except (git.UnsafeProtocolError, git.UnsafeOptionError, ValueError, OSError) as error:
            raise Permanent(hide_secret(f"{repo} {branch} cannot be cloned: {error}")) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return found


def _clone(repo: str, branch: str, directory: Path) -> git.Repo:
    return git.Repo.clone_from(
        repo, directory, env=_ENVIRONMENT, branch=branch, depth=1, single_branch=True, no_tags=True, kill_after_timeout=limits.CODE
    )


def _go_to(repo: str, branch: str, directory: Path, commit: str) -> None:
    """Some servers give away a single commit, others only whole branches."""
    if not _COMMIT.match(commit):
        raise Permanent(f"{commit!r} is not a commit's hash")
    with git.Repo(directory) as clone, clone.git.custom_environment(**_ENVIRONMENT):
        try:
            clone.git.fetch("origin", commit, depth=1, kill_after_timeout=limits.CODE)
        except git.GitCommandError:
            clone.git.fetch("origin", branch, unshallow=True, kill_after_timeout=limits.CODE)
        try:
            clone.git.checkout(commit, detach=True)
        except git.GitCommandError as error:
            raise Permanent(f"{hide_secret(repo)} {branch} does not have commit {commit} any more") from error


def _explained(error: git.GitCommandError, repo: str, branch: str) -> Exception:
    lines = [line.strip() for line in str(error.stderr).replace("stderr:", "").strip(" '\n").splitlines() if line.strip()]
    last = hide_secret(next((line for line in reversed(lines) if "fatal" in line.lower()), lines[-1] if lines else "no answer"))
    text = f"git cannot clone branch {branch} of {hide_secret(repo)}: {last}"
    return Temporary(text) if _UNREACHABLE.search(str(error.stderr)) else Permanent(text)
