"""Repositories, by GitPython. Implements ``Code``."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import git

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


class Git:
    """Shallow clones of one branch."""

    def fetch(self, repo: str, branch: str, directory: str) -> str:
        target = Path(directory)
        temporary = target.with_name(f".{target.name}.part")
        shutil.rmtree(temporary, ignore_errors=True)
        try:
            clone = git.Repo.clone_from(
                repo,
                temporary,
                env=_ENVIRONMENT,
                branch=branch,
                depth=1,
                single_branch=True,
                no_tags=True,
                kill_after_timeout=limits.CODE,
            )
            commit = clone.head.commit.hexsha
            clone.close()
            temporary.rename(target)
        except git.GitCommandError as error:
            raise _explained(error, repo, branch) from error
        except (git.UnsafeProtocolError, git.UnsafeOptionError, ValueError, OSError) as error:
            raise Permanent(f"{hide_secret(repo)} {branch} cannot be cloned: {error}") from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        return commit


def _explained(error: git.GitCommandError, repo: str, branch: str) -> Exception:
    lines = [line.strip() for line in str(error.stderr).replace("stderr:", "").strip(" '\n").splitlines() if line.strip()]
    last = hide_secret(next((line for line in reversed(lines) if "fatal" in line.lower()), lines[-1] if lines else "no answer"))
    text = f"git cannot clone branch {branch} of {hide_secret(repo)}: {last}"
    return Temporary(text) if _UNREACHABLE.search(str(error.stderr)) else Permanent(text)
