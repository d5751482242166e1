"""How long a change in Consul takes to be served by all three nodes, what visitors notice of a hundred changes, and what a foreign node costs.

The apps are records in Consul whose Caddyfile answers by itself, so that nothing but the routing is measured.
"""

import base64
import http.client
import json
import shutil
import subprocess
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from bench.figures import row
from clusterlab import apps, cluster
from clusterlab.node import Node
from clusterlab.run import PROJECT, LabError, run, wait_until
from clusterlab.visitor import Seen, WebSocket, asking
from handler.core.caddyfile import translate

FEW, MANY, DOMAINS = 10, 1000, 5
CHANGES = 10
IN_A_ROW = 100
REQUESTS = 4000


def measure() -> list[tuple[str, ...]]:
    """All rows."""
    nodes = cluster.nodes()
    _put_all(nodes, 0, FEW)
    few = _changes(nodes)
    foreign = _foreign(nodes)
    noticed = _under_load(nodes)
    reloads = _haproxy_processes(nodes)
    _put_all(nodes, FEW, MANY)
    many = _changes(nodes)
    assert _haproxy_processes(nodes) == reloads, "HAProxy was reloaded"
    return [
        row(f"a route's change, served by three nodes, {MANY} apps; {FEW} apps", many["route"], few["route"], "at most 2"),
        row(f"a site's change, served by three nodes, {MANY} apps; {FEW} apps", many["site"], few["site"], "at most 2"),
        *foreign,
        noticed,
    ]


def _record(number: int, master: Node, word: str) -> str:
    domains = [f"d{n}.app{number}.example.com" for n in range(DOMAINS)]
    text = ", ".join(f"http://{domain}" for domain in domains) + f' {{\n\trespond "{word} on {master.name}"\n}}\n'
    known = {
        "haproxy": {},
        "caddyfile": translate(text, "nobody", f"bench{number}").caddyfile,
        "domains": domains,
        "master": master.name,
        "ip": master.address,
        "slave": "",
        "event": word,
    }
    return json.dumps(known)


def _put_all(nodes: Sequence[Node], first: int, last: int) -> None:
    """Records ``first`` to ``last``, and wait until the last one is served by all."""
    for start in range(first, last, 50):
        ops = [
            {"KV": {"Verb": "set", "Key": f"app/bench{n}", "Value": base64.b64encode(_record(n, nodes[n % 3], "first").encode()).decode()}}
            for n in range(start, min(start + 50, last))
        ]
        nodes[0].inside(["curl", "-fsS", "-X", "PUT", "-d", "@-", "127.0.0.1:8500/v1/txn"], input=json.dumps(ops))
    for number in (first, last - 1):
        wait_until("all are served", lambda number=number: _served(nodes, number, "first"), 120, 0.05)


def _served(nodes: Sequence[Node], number: int, word: str) -> bool:
    return all(word in _ask(node, f"d{DOMAINS - 1}.app{number}.example.com") for node in nodes)


def _ask(node: Node, host: str) -> str:
    connection = http.client.HTTPConnection(node.address, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": host})
        return connection.getresponse().read().decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    finally:
        connection.close()


def _changes(nodes: Sequence[Node]) -> dict[str, list[float]]:
    """Seconds from the write to the last of three nodes serving it: of an app's route (another master), and of its site."""
    found: dict[str, list[float]] = {"route": [], "site": []}
    master = nodes[1]
    for number in range(CHANGES):
        master = nodes[2] if master is nodes[1] else nodes[1]
        found["route"].append(_change(nodes, _record(1, master, f"route{number}"), f"route{number} on {master.name}"))
        found["site"].append(_change(nodes, _record(1, master, f"site{number}"), f"site{number} on"))
    _change(nodes, _record(1, nodes[1], "first"), "first on node2")
    return found


def _change(nodes: Sequence[Node], value: str, word: str) -> float:
    _put(nodes[0], "app/bench1", value)
    began = time.monotonic()
    wait_until(word, lambda: _served(nodes, 1, word), 60, 0.005)
    return time.monotonic() - began


def _put(node: Node, key: str, value: str) -> None:
    node.inside(["curl", "-fsS", "-X", "PUT", "-d", "@-", f"127.0.0.1:8500/v1/kv/{key}"], input=value)


def _haproxy_processes(nodes: Sequence[Node]) -> list[str]:
    """The worker's process on each node; another one after a reload."""
    show = ["docker", "compose", "--project-directory", "/cluster", "exec", "-T", "haproxy", "sh", "-c", "pgrep haproxy | tail -1"]
    return [node.inside(show, check=False).stdout.strip() for node in nodes]


# --- what visitors notice ------------------------------------------------------------------------------------------


def _under_load(nodes: Sequence[Node]) -> tuple[str, ...]:
    """A hundred changes of other apps in a row, while one app is asked in four ways through a foreign node."""
    url = apps.publish(PROJECT / "examples/hello", "hello")
    before = apps.last_event(nodes[0], url, "main")
    apps.event(nodes[0], "deploy", json.dumps({"repo": url, "branch": "main", "master": nodes[0].name}))
    assert apps.wait(nodes[0], url, "main", 120, after=before)["outcome"] == "committed"
    host, through = "hello.example.com", nodes[2].address
    wait_until("hello is served", lambda: "hello" in _ask(nodes[2], host), 20)
    sock = WebSocket(through, host)
    with ExitStack() as stack:
        ways = [(tls, keep) for tls in (False, True) for keep in (False, True)]
        seen: list[Seen] = [stack.enter_context(asking(through, host, at_once=2, tls=tls, keep=keep)) for tls, keep in ways]
        for number in range(IN_A_ROW):
            _change(nodes, _record(1, nodes[number % 3], f"load{number}"), f"load{number} on")
    lives = sock.lives()
    sock.close()
    failed = sum(len(one.failed) for one in seen)
    asked = sum(len(one.answers) for one in seen)
    text = f"{failed} of {asked} requests failed, the WebSocket {'lives' if lives else 'is dead'}"
    return (f"{IN_A_ROW} changes of other apps under load", text, "", "", "0 failed")


# --- a foreign node ------------------------------------------------------------------------------------------------


def _foreign(nodes: Sequence[Node]) -> list[tuple[str, ...]]:
    """Through a foreign node and through the app's own, in turns, by ApacheBench."""
    if not shutil.which("ab"):
        run(["apt-get", "install", "-q", "-y", "--no-install-recommends", "apache2-utils"])
    own, foreign = [], []
    for _ in range(4):
        own.append(_ab(nodes[1]))
        foreign.append(_ab(nodes[2]))
    latency = row(
        "a request's time, through a foreign node; through its own",
        [one[1] for one in foreign],
        [one[1] for one in own],
        "",
        unit=1_000_000,
    )
    rates = [[one[0] for one in measured] for measured in (foreign, own)]
    speed = [" / ".join(f"{value:.0f}" for value in (min(rate), median(rate), max(rate))) for rate in rates]
    return [
        (latency[0] + " (microseconds)", *latency[1:]),
        ("requests per second, 16 at once, the same", *speed, f"{median(rates[0]) / median(rates[1]):.2f}", ""),
    ]


def _ab(node: Node) -> tuple[float, float]:
    """(requests per second with 16 at once, seconds of one request alone), on kept connections."""
    host = ["-k", "-H", "Host: d0.app1.example.com", f"http://{node.address}/"]
    many = _run(["ab", "-q", "-n", str(REQUESTS), "-c", "16", *host])
    one = _run(["ab", "-q", "-n", str(REQUESTS // 8), "-c", "1", *host])
    return many[0], 1 / one[0]


def _run(argv: list[str]) -> tuple[float, int]:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    lines = dict(line.partition(":")[::2] for line in done.stdout.splitlines() if ":" in line)
    wrong = int(lines.get("Failed requests", "1").split()[0]) + int(lines.get("Non-2xx responses", "0").split()[0])
    if done.returncode or wrong:
        raise LabError(f"{' '.join(argv)}: {wrong} failed\n{done.stdout}\n{done.stderr}")
    return float(lines["Requests per second"].split()[0]), wrong
