"""Data that an app's master does not have any more: its disk was replaced by an empty one, or somebody deleted a volume; or an abort could
not put back what was before.

Asked before the app is started, deployed, moved or copied: compose would make empty volumes, and soon these would be its newest copies.
After a commit all volumes of the record are live on the master, since compose makes each that a service uses, and tells of no others.
"""

from __future__ import annotations

from handler.core import entries
from handler.core.model import Kind
from handler.ports import Ports
from handler.residence import Residence

NEEDING = (Kind.DEPLOY, Kind.MIGRATE)
"""Events whose operations build on the data that is here; the others bring in other data, or end the app, and go on without."""


def complaint(ports: Ports, app: str, lives: Residence) -> str:
    """What is lost, and what a person can do; empty when nothing is. ``lives`` is where the app lives: on this node."""
    gone = [volume for volume in lives.volumes if not ports.volumes.exists(volume)]
    if gone:
        what = f"{', '.join(gone)} of {app} is not on {ports.members.me()} any more, where it lives"
    elif any(map(entries.owed, (ports.journal.done(app, event) for event in ports.journal.events(app)))):
        what = f"the data of {app} on {ports.members.me()} is what a failed operation left, and cannot be put back"
    else:
        return ""
    return (
        f"{what}, and nothing begins without its data: if its disk is not mounted, mount it and restart the worker; else take it over "
        f'where a copy is, with "force": true, roll it back to a time of `cluster points`, or destroy it'
    )
