"""Faults of a node's disk, of its way to another node, and of its clock; each lasts as long as its block."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from clusterlab.disk import node_data
from clusterlab.node import Node
from clusterlab.run import PROJECT, LabError, run

SEND_PORT = "1122"
"""Buttervolume's ssh."""
_WORKER = "cluster-worker-1"
_PLUGIN = "anybox/buttervolume:latest"


_FILL = """
n=0
for size in 1G 128M 16M; do
  while fallocate -l $size /var/lib/buttervolume/filler.$n 2>/dev/null; do n=$((n + 1)); done
  rm -f /var/lib/buttervolume/filler.$n
done
"""


@contextmanager
def full_disk(node: Node) -> Iterator[None]:
    """The disk of the node's volumes has less than 16 MB left for data; on the machine's own disk that takes no place."""
    try:
        node.inside(["sh", "-c", _FILL])
        yield
    finally:
        node.inside(["sh", "-c", "rm -f /var/lib/buttervolume/filler.*; sync /var/lib/buttervolume"])


@contextmanager
def slow_disk(nodes: Sequence[Node], still: float = 0.6, moves: float = 0.2) -> Iterator[None]:
    """The disks of the nodes' volumes stand still for ``still`` seconds (nothing that writes goes on), and work for ``moves``, in turns."""
    stop = threading.Event()
    paths = [node_data(node.name).mountpoint for node in nodes]

    def go() -> None:
        while not stop.wait(moves):
            for path in paths:
                run(["fsfreeze", "-f", path])
            stop.wait(still)
            for path in paths:
                run(["fsfreeze", "-u", path])

    thread = threading.Thread(target=go, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        for path in paths:  # when the thread ended by an error
            run(["fsfreeze", "-u", path], check=False)


@contextmanager
def slow_network(node: Node, rate: str) -> Iterator[None]:
    """What the node sends passes at this rate, such as ``200mbit``."""
    node.inside(["tc", "qdisc", "add", "dev", "eth0", "root", "tbf", "rate", rate, "burst", "1mb", "latency", "100ms"])
    try:
        yield
    finally:
        node.inside(["tc", "qdisc", "del", "dev", "eth0", "root"], check=False)


@contextmanager
def no_sending(node: Node) -> Iterator[None]:
    """Connections from the node to other nodes' Buttervolume are reset, also those that are open."""
    reset = ["-j", "REJECT", "--reject-with", "tcp-reset"]
    rules = [["OUTPUT", "-p", "tcp", "--dport", SEND_PORT, *reset], ["INPUT", "-p", "tcp", "--sport", SEND_PORT, *reset]]
    for rule in rules:
        node.inside(["iptables", "-w", "-I", *rule])
    try:
        yield
    finally:
        for rule in rules:
            node.inside(["iptables", "-w", "-D", *rule], check=False)


@contextmanager
def wrong_clock(node: Node, seconds: float) -> Iterator[None]:
    """The worker and Buttervolume of the node read a clock that is wrong; see ``lab/clock``."""
    plugin = node.inside(["sh", "-c", "ls -d /var/lib/docker/plugins/*/rootfs/usr/local/lib/python3*/dist-packages"]).stdout.strip()
    files = {
        "cluster_clock.py": (PROJECT / "lab/clock/cluster_clock.py").read_text(),
        "cluster_clock.seconds": str(seconds),
        "cluster_clock.pth": "import cluster_clock\n",
    }
    worker = node.inside(["docker", "exec", _WORKER, "sh", "-c", "ls -d /usr/local/lib/python3*/dist-packages"]).stdout.strip()
    try:
        for name, text in files.items():
            node.inside(["sh", "-c", f"cat > {plugin}/{name}"], input=text)
            node.inside(["docker", "exec", "-i", _WORKER, "sh", "-c", f"cat > {worker}/{name}"], input=text)
        _restart(node)
        yield
    finally:
        for name in files:
            node.inside(["rm", "-f", f"{plugin}/{name}"])
            with suppress(LabError):
                node.inside(["docker", "exec", _WORKER, "rm", "-f", f"{worker}/{name}"])
        _restart(node)


def _restart(node: Node) -> None:
    node.inside(["sh", "-c", f"docker plugin disable -f {_PLUGIN} && docker plugin enable {_PLUGIN} && docker restart -t 10 {_WORKER}"])
