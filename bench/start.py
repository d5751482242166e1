"""The handler's start on a node with nothing to do, against `python3 -c pass`, inside the shipped image."""

import json
from collections.abc import Mapping

from bench.figures import row
from clusterlab.run import run

_INSIDE = """
import json, subprocess, time
def once(argv):
    began = time.perf_counter()
    subprocess.run(argv, input=b"[]", check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began
pairs = [(once(["handler"]), once(["python3", "-c", "pass"])) for _ in range(60)][5:]
print(json.dumps(list(zip(*pairs))))
"""


def measure(images: Mapping[str, object]) -> tuple[str, ...]:
    """Sixty pairs; the first five warm the caches."""
    assert "cluster-handler" in images
    answer = run(["docker", "run", "--rm", "-i", "--entrypoint", "python3", "cluster-handler", "-"], input=_INSIDE)
    handler, python = json.loads(answer.stdout)
    return row("handler's start, nothing to do; python3 -c pass", handler, python, "at most 2.5")
