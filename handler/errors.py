"""Every error that the handler raises on purpose.

::

    ClusterError
    ├── Temporary            trying again may help; retried until a deadline
    │   ├── StoreUnavailable     Consul gave no answer: unknown, which is not the same as absent
    │   └── Overtaken            the send of a newer snapshot was begun before: take a new one
    ├── Permanent            trying again is useless; a person has to read the reason
    │   ├── BadInput             an event, a repository or a value is refused
    │   ├── CommandFailed        a program ended with an error
    │   └── Aborted              another node ended the operation
    └── LeaseLost            somebody else may lead now: stop at once

A message names the thing, the cause and what to do.
"""

from __future__ import annotations


class ClusterError(Exception):
    """Base of all errors below; never raised itself."""


class Temporary(ClusterError):
    """The operation may succeed when it is tried again."""


class StoreUnavailable(Temporary):
    """Consul did not answer, or has no leader: nothing is known."""


class Overtaken(Temporary):
    """The send of a newer snapshot of the volume to that node was begun before. This one is not sent: what comes last is the newest."""


class Permanent(ClusterError):
    """Trying again changes nothing."""


class BadInput(Permanent):
    """Something that came from outside is refused; nothing was changed."""


class CommandFailed(Permanent):
    """A program ended with an error, or ran out of time.

    ``tail`` holds the last lines that it wrote, for the history.
    """

    def __init__(self, message: str, tail: str = "") -> None:
        super().__init__(f"{message}: {tail.strip().splitlines()[-1]}" if tail.strip() else message)
        self.tail = tail


class LeaseLost(ClusterError):
    """The lease of the operation is gone, or could not be renewed in time."""


class Aborted(Permanent):
    """Another node ended the operation; not an error of this one."""
