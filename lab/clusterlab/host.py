"""The host: Docker and the few tools the lab needs, on a bare Debian as root, or just a look whether they are there."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

from clusterlab.run import CACHE, LabError, run, step, wait_until

TOOLS = {
    "mkfs.btrfs": "btrfs-progs",
    "losetup": "mount",
    "debootstrap": "debootstrap",
    "iptables": "iptables",
    "git": "git",
    "haproxy": "haproxy",
}
"""Program -> Debian package. debootstrap is for the stand-in of a base image that cannot be pulled, haproxy for component tests."""


def docker_answers() -> bool:
    """Whether a Docker daemon can be used now."""
    return shutil.which("docker") is not None and run(["docker", "info"], check=False, timeout=30).returncode == 0


def prepare() -> None:
    """Make the host fit for the lab; does nothing on one that is."""
    CACHE.mkdir(parents=True, exist_ok=True)
    missing = sorted({package for program, package in TOOLS.items() if not which(program)})
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    if not docker_answers() and not which("dockerd"):
        missing.append("docker.io")
    if missing:
        _install(missing)
    if not docker_answers():
        _start_docker()


def which(program: str) -> str | None:
    """Like shutil.which, also where only root's PATH looks."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


def _install(packages: list[str]) -> None:
    if os.geteuid() != 0 or not which("apt-get"):
        raise LabError(f"please install {', '.join(packages)} (or the like on this system), start Docker, and try again")
    with step(f"install {', '.join(packages)}"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-q"], env=environment)
        run(["apt-get", "install", "-q", "-y", "--no-install-recommends", *packages], env=environment, timeout=1200)


def _start_docker() -> None:
    """By systemd where it runs, else by hand: a daemon of its own session, with its log in the cache."""
    if os.geteuid() != 0:
        raise LabError("the Docker daemon does not answer: start it, or run this as root")
    with step("start the Docker daemon"):
        if Path("/run/systemd/system").is_dir():
            run(["systemctl", "start", "docker"])
        else:
            with (CACHE / "dockerd.log").open("ab") as log:
                daemon = subprocess.Popen(
                    [which("dockerd") or "dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            (CACHE / "dockerd.pid").write_text(str(daemon.pid))
        wait_until("dockerd answers", docker_answers, 60)
