"""The demo: set up, deploy, write, move, read, ruin, roll back; every step said with its time."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from clusterlab import apps, cluster, host
from clusterlab.apps import names
from clusterlab.run import PROJECT, LabError, run, step
from clusterlab.visitor import asking

IMAGE = "cluster-examples/wordpress:1"
SITE = "wordpress.example.com"
TITLE = "This post was written before the move"


def main() -> int:
    """Entry point of ``lab/demo``."""
    try:
        return _demo()
    except LabError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted; `make clean` removes what is there", file=sys.stderr)
        return 130


def base_image() -> None:
    """WordPress and MariaDB from Debian's packages; the app's own images are built on the nodes from it."""
    from clusterlab import base  # noqa: PLC0415

    host.prepare()
    base.ensure()
    with step("image with WordPress and MariaDB"):
        run(["docker", "build", "-q", "--network=host", "-t", IMAGE, PROJECT / "examples/wordpress/base"], timeout=1800)


def _demo() -> int:
    print("1. Three nodes on this machine")
    base_image()
    cluster.up(3, [IMAGE])
    node3 = cluster.by_name("node3")
    url = apps.publish(PROJECT / "examples/wordpress", "wordpress")

    print("2. WordPress on node1, its copy on node2")
    _operation(node3, url, "deploy", master="node1", slave="node2")

    print("3. A post")
    link = _write()
    print(f"   written: {SITE}{link}")

    print("4. WordPress moves to node2, with its data, while a visitor asks node3 every 10 ms")
    with asking(node3.address, SITE, "/wp-login.php") as seen:
        _operation(node3, url, "deploy", master="node2", slave="node1")
        time.sleep(1)  # the visitor sees some of the time after
    print(f"   the visitor asked {len(seen.answers)} times: {len(seen.failed)} errors, {seen.longest:.2f} s without an answer at worst")

    print("5. The post, through node3")
    _read(node3, link)

    print("6. Somebody deletes all of WordPress's data, and it comes back as it was before")
    before = _ruin(cluster.by_name("node2"), url)
    _operation(node3, url, "rollback", to=before)
    _read(node3, link)
    print(f"\nOpen it:      http://localhost:{cluster.HTTP}/   (admin / only-for-the-demo)")
    print("Look around:  lab/lab status; lab/lab exec node2 docker ps; lab/lab --help")
    print("Clean up:     make clean")
    return 1 if seen.failed else 0


def _operation(node: Any, url: str, kind: str, **values: str) -> None:
    payload = json.dumps({**values, "branch": "main", "repo": url})
    print(f"   docker compose exec consul consul event -name={kind} '{payload}'")
    before = apps.last_event(node, url, "main")
    apps.event(node, kind, payload)
    outcome = apps.wait(node, url, "main", 600, after=before)
    history = apps.history(node, outcome["app"], outcome["event"])
    for line in history.get("steps", []):
        print(f"   {line['seconds']:7.2f} s  {line['node']}  {line['step']}{'   *' if line['down'] and history['downtime'] else ''}")
    if outcome["outcome"] != "committed":
        raise LabError(f"the {kind} was taken back: {outcome.get('why')}\n{history.get('tail', '')}")
    if history.get("downtime") is not None:
        print(f"   {history['downtime']:7.2f} s  from the hold to the commit (*), while requests waited at the proxies")


def _write() -> str:
    script = PROJECT / "examples/wordpress/post"
    return run([script, f"http://127.0.0.1:{cluster.HTTP}", SITE, TITLE]).stdout.strip()


def _read(node: Any, link: str) -> None:
    page = node.inside(["curl", "-fsSL", "-m", "30", "--resolve", f"{SITE}:80:{node.address}", f"http://{SITE}{link}"]).stdout
    if TITLE not in page:
        raise LabError("the post is gone: that must never happen")
    print(f"   it is there: {TITLE!r}")


def _ruin(node: Any, url: str) -> str:
    """Returns the time before."""
    before = node.inside(["date", "-u", "+%Y-%m-%dT%H:%M:%S"]).stdout.strip()
    project = names.project_name(names.app_name(url, "main"))
    command = f"rm -rf /var/lib/buttervolume/volumes/{project}_*/*"
    print(f"   {command}")
    node.inside(["sh", "-c", command], check=False)  # what is in use may resist
    return before
