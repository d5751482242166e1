"""Every deadline of an operation, and how often it looks, in seconds and in one place."""

from __future__ import annotations

BEGIN = 90.0
"""From an accepted event until its target has begun; then anybody may declare the abort."""

CODE = 300
"""For git to clone."""

IMAGES = 3600
"""For one pull or build."""

UPDATE = 1800
"""For ``update.sh``."""

PEER = 6 * 3600.0
"""How long a peer that is alive may take to prepare or to copy: first copies can be large."""

PEER_GONE = 45.0
"""How long a peer may be missing from the cluster's members before the operation is given up."""

LEADER_GONE = 5.0
"""How long the lease may be free before the source declares the abort. It becomes free 15 s after the last renewal at the
earliest, and its holder stops its trial copy by itself after 10 s: so nothing runs there any more."""

SILENT = 5.0
"""How long a takeover listens for a master that the cluster does not hear of."""

STOPPED = 30.0
"""For a master that is alive to stop an app that is taken over."""

HELD = 3.0
"""For our own proxies to hold an app."""

DRAIN = 10.0
"""For requests in flight to end."""

STOP = 10
"""From SIGTERM to SIGKILL for an app's containers."""

HEALTHY = 300.0
"""For a started app to become healthy."""

WATCH = 5.0
"""An app without health check and without port has to stay up this long."""

COPY = 6 * 3600.0
"""For the first copy of a slave that is alive."""

RETRY = 60.0
"""From a round of copies that failed to the next one; twice as long after each failure, up to the schedule's timer."""

COPY_GRACE = 300.0
"""How much later than planned a copy may be before somebody is told."""

FAILURES = 3
"""Rounds in a row that may fail before somebody is told."""

VERIFY = 180.0
"""For the slave to say that it has what was sent: it looks every half minute."""

HOOKS = 60
"""For all ``pre-snapshot`` commands of an app together, in seconds: an operation that begins meanwhile waits for them."""

SENDS = 60.0
"""For copies that are on their way, before what would overtake them is given up; a round takes some seconds, a first copy hours."""

FREEZE = 2.0
"""For all of an app's containers to be frozen, before a copy is given up."""

THAW = 20.0
"""For frozen containers to go on, at once; then it is tried again with every look."""

SIZE = 60.0
"""For adding up the size of one copy."""

TAIL = 120.0
"""For one step after the outcome to be tried again."""

ROUNDS = 5
"""Pre-copy rounds at most."""

SHORT_ROUND = 2.0
"""A pre-copy round shorter than this is short enough."""

HISTORY = 20
"""Operations remembered for each app."""

LOOK_AGAIN = 2.0
"""After which a waiting step looks for vanished peers and free leases, when nothing changed in Consul."""
