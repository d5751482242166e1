"""The images and the plugin of a node, built once on the host and kept in a template of a node's /var/lib/docker.

The template is a btrfs subvolume; a node's Docker directory is a snapshot of it, so that starting three nodes copies nothing.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

from clusterlab import base, venv
from clusterlab.disk import Disk
from clusterlab.run import CACHE, PROJECT, run, step

NODE = "cluster-lab-node"
PLUGIN = "anybox/buttervolume:latest"
SERVICES = {
    "cluster-consul": ("consul", "consul/Dockerfile"),
    "cluster-haproxy": ("haproxy", "haproxy/Dockerfile"),
    "cluster-caddy": ("caddy", "caddy/Dockerfile"),
    "cluster-handler": (".", "handler/Dockerfile"),
}
"""Image -> build context and Dockerfile, as in docker-compose.yml."""


def build(extra: list[str]) -> None:
    """Have all images on the host and a template that holds them; ``extra`` are images that nodes get as well."""
    base.ensure()
    with step("image of a node"):
        _docker_build(NODE, PROJECT / "lab/node", PROJECT / "lab/node/Dockerfile")
    for image, (context, dockerfile) in SERVICES.items():
        with step(f"image {image}"):
            _build_service(image, PROJECT / context, PROJECT / dockerfile)
    _plugin()
    _template([*SERVICES, base.DEBIAN, *extra])


def _docker_build(image: str, context: Path, dockerfile: Path) -> None:
    run(["docker", "build", "-q", "--network=host", "-t", image, "-f", dockerfile, context], timeout=1800)


def _build_service(image: str, context: Path, dockerfile: Path) -> None:
    """The handler's image gets what the package index has beside its sources, since a build may not reach it."""
    if context != PROJECT / ".":
        _docker_build(image, context, dockerfile)
        return
    staged = CACHE / "handler-context"
    shutil.rmtree(staged, ignore_errors=True)
    staged.mkdir(parents=True)
    for name in ("setup.py", "pyproject.toml"):
        shutil.copy2(PROJECT / name, staged)
    for name in ("handler", "haproxy", "templates"):
        shutil.copytree(PROJECT / name, staged / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(venv.wheels("handler", _requirements()), staged / "wheels")
    _docker_build(image, staged, staged / "handler/Dockerfile")


def _requirements() -> list[str]:
    """What setup.py asks for."""
    text = (PROJECT / "setup.py").read_text()
    listed = text[text.index("install_requires=[") + 18 :]
    return [line.strip().strip('",') for line in listed[: listed.index("]")].splitlines() if line.strip()]


def _plugin() -> None:
    """The plugin's directory, as `docker plugin create` takes it."""
    wheels = venv.wheels("buttervolume", ["buttervolume==3.13", "legacy-cgi>=2.6"])  # pip looks at markers with its own Python
    with step("Buttervolume's plugin"):
        context = CACHE / "plugin-context"
        shutil.rmtree(context, ignore_errors=True)
        shutil.copytree(PROJECT / "lab/plugin", context)
        shutil.copytree(wheels, context / "wheels")
        _docker_build("cluster-lab-plugin", context, context / "Dockerfile")
        identity = image_id("cluster-lab-plugin")
        target = CACHE / "plugin"
        if _read(target / "identity") == identity and _read(target / "config.json") == (PROJECT / "lab/plugin/config.json").read_text():
            return
        shutil.rmtree(target, ignore_errors=True)
        (target / "rootfs").mkdir(parents=True)
        shutil.copy2(PROJECT / "lab/plugin/config.json", target)
        container = run(["docker", "create", "cluster-lab-plugin", "true"]).stdout.strip()
        try:
            run(["docker", "export", "-o", target / "rootfs.tar", container])
        finally:
            run(["docker", "rm", container])
        run(["tar", "-C", target / "rootfs", "-xf", target / "rootfs.tar"])
        (target / "rootfs.tar").unlink()
        (target / "identity").write_text(identity)


def image_id(image: str) -> str:
    """Docker's id of an image."""
    return run(["docker", "image", "inspect", "-f", "{{.Id}}", image]).stdout.strip()


def _read(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _template(images: list[str]) -> None:
    """Bring the template up to date, in a builder that has a Docker daemon and nothing else."""
    disk = Disk()
    disk.mount()
    wanted = {image: image_id(image) for image in images}
    plugin = hashlib.sha256((_read(CACHE / "plugin/identity") + _read(CACHE / "plugin/config.json")).encode()).hexdigest()
    marks = [*(f"{image} {identity}" for image, identity in sorted(wanted.items())), f"{PLUGIN} {plugin}"]
    have = _read(disk.template / "cluster-lab").splitlines()
    if have == marks:
        return
    new_plugin = marks[-1] not in have
    disk.fresh_template(keep=bool(have) and not new_plugin)
    with step("put images into the template of a node"):
        from clusterlab.node import builder  # noqa: PLC0415 it needs the names above

        with builder(disk) as inside:
            stale = [image for image, identity in wanted.items() if f"{image} {identity}" not in have or new_plugin]
            if stale:
                archive = CACHE / "images.tar"
                run(["docker", "save", "-o", archive, *stale])
                inside(["docker", "load", "-q", "-i", "/cache/images.tar"])
                archive.unlink()
            inside(["sh", "-c", "docker image prune -f >/dev/null"])
            if new_plugin:
                inside(["docker", "plugin", "create", PLUGIN, "/cache/plugin"])
        (disk.template / "cluster-lab").write_text("\n".join(marks))
