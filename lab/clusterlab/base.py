"""Base images: pulled; where that fails, stand-ins of the same name, so that every Dockerfile is the one that users build.

``debian:trixie-slim`` comes from debootstrap, the images that hold one Go program from the Go module proxy. All is kept in the cache.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from clusterlab.host import which
from clusterlab.run import CACHE, LabError, run, step

DEBIAN = "debian:trixie-slim"
BIN = CACHE / "bin"
_PEBBLE = "github.com/letsencrypt/pebble/v2/cmd"
_FLAGS = ["-trimpath", "-ldflags", "-s -w"]

_CONSUL_MODULE = """module consulbuild

go 1.26

require (
\tgithub.com/hashicorp/consul v1.22.7
\tgithub.com/hashicorp/consul/api v1.34.3
\tgithub.com/hashicorp/consul/envoyextensions v0.9.6
\tgithub.com/hashicorp/consul/proto-public v0.7.4
\tgithub.com/hashicorp/consul/sdk v0.18.1
\tgithub.com/hashicorp/consul/troubleshoot v0.8.7
)

exclude (
\tgithub.com/hashicorp/go-msgpack v1.1.5
\tgithub.com/hashicorp/go-msgpack v1.1.6
)

tool github.com/hashicorp/consul
"""
"""Consul's own go.mod has replace directives, so `go install` refuses it; the api module that it names does not compile with it."""


@dataclass(frozen=True)
class GoImage:
    """An image that holds one program: its name, the program's path in it, and the module that it is built from.

    ``name`` is that of the program where its file in the image has another one.
    """

    image: str
    path: str
    module: str = ""
    name: str = ""

    @property
    def program(self) -> str:
        """File name of the program in the cache."""
        return self.name or Path(self.path).name


GO_IMAGES = (
    GoImage("hashicorp/consul-template:0.42.1", "/bin/consul-template", "github.com/hashicorp/consul-template@v0.42.1"),
    GoImage("caddy:2.11", "/usr/bin/caddy", "github.com/caddyserver/caddy/v2/cmd/caddy@v2.11.4"),
    GoImage("hashicorp/consul:1.22", "/bin/consul"),
    GoImage("ghcr.io/letsencrypt/pebble:2.10.1", "/app", f"{_PEBBLE}/pebble@v2.10.1", "pebble"),
    GoImage("ghcr.io/letsencrypt/pebble-challtestsrv:2.10.1", "/app", f"{_PEBBLE}/pebble-challtestsrv@v2.10.1", "pebble-challtestsrv"),
)


def ensure() -> None:
    """Have every base image on this host, and their programs in ``~/.cache/cluster-lab/bin`` for component tests."""
    _ensure_debian()
    for go_image in GO_IMAGES:
        _ensure_go(go_image)


def has_image(name: str) -> bool:
    """Whether the host's Docker has the image."""
    return run(["docker", "image", "inspect", name], check=False).returncode == 0


def pull(name: str) -> bool:
    """Try the registry; quick to fail where there is none."""
    return run(["docker", "pull", "-q", name], check=False, timeout=900).returncode == 0


def _ensure_debian() -> None:
    if has_image(DEBIAN):
        return
    with step(f"base image {DEBIAN}"):
        if pull(DEBIAN):
            return
        archive = CACHE / "trixie.tar"
        if not archive.exists():
            root = CACHE / "trixie"
            shutil.rmtree(root, ignore_errors=True)
            run(["debootstrap", "--variant=minbase", "trixie", root], timeout=1200)
            shutil.rmtree(root / "var/cache/apt/archives", ignore_errors=True)
            (root / "var/cache/apt/archives/partial").mkdir(parents=True)
            run(["tar", "-C", root, "-cf", archive.with_suffix(".part"), "."])
            archive.with_suffix(".part").rename(archive)
            shutil.rmtree(root, ignore_errors=True)
        run(["docker", "import", "--change", 'CMD ["bash"]', archive, DEBIAN])


def _ensure_go(go_image: GoImage) -> None:
    program = BIN / go_image.program
    if not has_image(go_image.image):
        with step(f"base image {go_image.image}"):
            if not pull(go_image.image):
                _build(go_image, program)
                _pack(go_image, program)
    if not program.exists():
        with step(f"take {go_image.program} out of {go_image.image}"):
            _extract(go_image, program)


def _pack(go_image: GoImage, program: Path) -> None:
    """An image with nothing but the program."""
    context = CACHE / "pack" / go_image.program
    context.mkdir(parents=True, exist_ok=True)
    shutil.copy2(program, context / go_image.program)
    (context / "Dockerfile").write_text(f"FROM scratch\nCOPY {go_image.program} {go_image.path}\n")
    run(["docker", "build", "-q", "-t", go_image.image, context])
    shutil.rmtree(context)


def _extract(go_image: GoImage, program: Path) -> None:
    BIN.mkdir(parents=True, exist_ok=True)
    container = run(["docker", "create", go_image.image, go_image.path]).stdout.strip()
    try:
        run(["docker", "cp", f"{container}:{go_image.path}", program])
    finally:
        run(["docker", "rm", container])


def _build(go_image: GoImage, program: Path) -> None:
    if program.exists():
        return
    BIN.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(BIN), "GOTOOLCHAIN": "auto", "GOFLAGS": "-mod=mod"}
    go = go_command()
    if go_image.module:
        run([go, "install", *_FLAGS, go_image.module], env={**environment, "GOFLAGS": ""}, timeout=1800)
        return
    source = CACHE / "consulbuild"
    shutil.rmtree(source, ignore_errors=True)
    source.mkdir(parents=True)
    (source / "go.mod").write_text(_CONSUL_MODULE)
    run([go, "get", "github.com/hashicorp/consul@v1.22.7"], cwd=source, env=environment, timeout=1800)
    run([go, "build", *_FLAGS, "-o", program, "github.com/hashicorp/consul"], cwd=source, env=environment, timeout=3600)


def go_command() -> str:
    """Go; any version since 1.21 fetches the one that is needed through the module proxy."""
    found = which("go") or ("/usr/local/go/bin/go" if Path("/usr/local/go/bin/go").exists() else None)
    if found:
        return found
    if os.geteuid() != 0 or not which("apt-get"):
        raise LabError("no image can be pulled and there is no Go compiler: install Go, or give this machine a registry")
    release = Path("/etc/os-release").read_text()
    backports = "bookworm" in release
    if backports:  # its own Go is too old to fetch a newer one
        Path("/etc/apt/sources.list.d/cluster-lab-backports.list").write_text("deb http://deb.debian.org/debian bookworm-backports main\n")
        run(["apt-get", "update", "-q"])
    run(
        [
            "apt-get",
            "install",
            "-q",
            "-y",
            "--no-install-recommends",
            *(["-t", "bookworm-backports"] if backports else []),
            "golang-go",
            "ca-certificates",
        ],
        timeout=1200,
    )
    return which("go") or "go"
