"""The command ``handler``: a table of sub-commands, each imported only when it is asked for, since the first one must be fast.

    handler              events on stdin (started by consul watch)
    handler intents      intents changed (started by consul watch)
    handler work         the worker: does the operations of this node
    handler resume       finish or give up what a crash left behind, then return
    handler proxies ...  bring rendered files into the proxies (started by consul-template)

Exit codes: 0 done, 1 failed, 2 wrong usage.
"""

from __future__ import annotations

import sys
from importlib import import_module

COMMANDS = {
    "events": ("handler.receive", "events"),
    "intents": ("handler.receive", "intents"),
    "work": ("handler.worker", "main"),
    "resume": ("handler.resume", "main"),
    "proxies": ("handler.proxies", "main"),
}


def main() -> int:
    """Entry point of the console script."""
    name, *arguments = sys.argv[1:] or ["events"]
    if name not in COMMANDS:
        print(__doc__, file=sys.stderr)  # noqa: T201
        return 2
    module, function = COMMANDS[name]
    result: int = getattr(import_module(module), function)(arguments)
    return result


if __name__ == "__main__":
    sys.exit(main())
