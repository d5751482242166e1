"""Volumes that an app's master does not have any more: its disk was replaced by an empty one, or somebody deleted them.

Asked before the app is started, deployed, moved or copied: compose would make empty ones, and soon these would be its newest copies.

After a commit all volumes of the record are live on the master, since compose makes each that a service uses, and tells of no others.
"""

from __future__ import annotations

from handler.ports import Ports
from handler.residence import Residence


def complaint(ports: Ports, app: str, lives: Residence) -> str:
    """What is lost, and what a person can do; empty when nothing is. ``lives`` is where the app lives: on this node."""
    gone = [volume for volume in lives.volumes if not ports.volumes.exists(volume)]
    if not gone:
        return ""
    return (
        f"{', '.join(gone)} of {app} is not on {ports.members.me()} any more, where it lives, and nothing begins without its data: "
        f'take it over where a copy is, with "force": true, roll it back to a time of `cluster points`, or destroy it'
    )
