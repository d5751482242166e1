"""What ``consul watch`` starts: validate the frame, spool, wake the worker, return. Milliseconds; no third-party imports.

Exit code 0 whatever the events are: ``consul watch`` ends when its handler fails, and a restarted watch replays old events.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def events(_arguments: Sequence[str]) -> int:
    """Stdin has a list of events, as from ``consul watch -type=event``."""
    text = sys.stdin.read()
    if text.strip() in ("", "[]", "null"):
        return 0
    from handler import settings, spool  # noqa: PLC0415 only needed when there is something to do
    from handler.core import events as parsing  # noqa: PLC0415

    try:
        found = parsing.messages(text)
    except parsing.EventError as error:
        print(f"handler: {error}", file=sys.stderr)  # noqa: T201 consul watch passes our stderr on
        return 0
    here = settings.read()
    for message in found:
        try:
            spool.put(here.spool, message)
        except OSError as error:
            print(f"handler: event {message.id} cannot be spooled in {here.spool}: {error}", file=sys.stderr)  # noqa: T201
    spool.poke(here.wake, "events")
    return 0


def intents(_arguments: Sequence[str]) -> int:
    """Something below ``intent/`` changed, as from ``consul watch -type=keyprefix``: the worker looks for itself."""
    from handler import settings, spool  # noqa: PLC0415

    sys.stdin.read()
    spool.poke(settings.read().wake, "intents")
    return 0
