"""The demo: set up, deploy, write, move, read; every step said with its time."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from clusterlab import apps, cluster, host
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
    _operation(node3, url, "node1", "node2")

    print("3. A post")
    link = _write()
    print(f"   written: {SITE}{link}")

    print("4. WordPress moves to node2, with its data, while a visitor asks node3 every 10 ms")
    with asking(node3.address, SITE, "/wp-login.php") as seen:
        _operation(node3, url, "node2", "node1")
        time.sleep(1)  # the visitor sees some of the time after
    print(f"   the visitor asked {len(seen.answers)} times: {len(seen.failed)} errors, {seen.longest:.2f} s without an answer at worst")

    print("5. The post, through node3")
    page = node3.inside(["curl", "-fsSL", "-m", "30", "--resolve", f"{SITE}:80:{node3.address}", f"http://{SITE}{link}"]).stdout
    if TITLE not in page:
        raise LabError("the post is gone: that must never happen")
    print(f"   it is there: {TITLE!r}")
    print(f"\nOpen it:      http://localhost:{cluster.HTTP}/   (admin / only-for-the-demo)")
    print("Look around:  lab/lab status; lab/lab exec node2 docker ps; lab/lab --help")
    print("Clean up:     make clean")
    return 1 if seen.failed else 0


def _operation(node: Any, url: str, master: str, slave: str) -> None:
    payload = json.dumps({"master": master, "slave": slave, "branch": "main", "repo": url})
    print(f"   docker compose exec consul consul event -name=deploy '{payload}'")
    before = apps.last_event(node, url, "main")
    apps.event(node, "deploy", payload)
    outcome = apps.wait(node, url, "main", 600, after=before)
    history = apps.history(node, outcome["app"], outcome["event"])
    for line in history.get("steps", []):
        print(f"   {line['seconds']:7.2f} s  {line['node']}  {line['step']}{'   *' if line['down'] and history['downtime'] else ''}")
    if outcome["outcome"] != "committed":
        raise LabError(f"the deploy was taken back: {outcome.get('why')}\n{history.get('tail', '')}")
    if history.get("downtime") is not None:
        print(f"   {history['downtime']:7.2f} s  from the hold to the commit (*), while requests waited at the proxies")


def _write() -> str:
    script = PROJECT / "examples/wordpress/post"
    return run([script, f"http://127.0.0.1:{cluster.HTTP}", SITE, TITLE]).stdout.strip()
