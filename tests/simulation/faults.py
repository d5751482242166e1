"""What may go wrong, as a table: name -> what it does to a run, to one node of it, for some seconds. The seed draws when, where and what."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from memory_consul import BELIEVE
from world import Node

if TYPE_CHECKING:
    from run import Run

Fault = Callable[["Run", Node, float], None]

PROGRAMS = ("clone", "pull", "up", "snapshot", "send", "restore", "update")
RESTART = 3.0
"""Seconds in which Docker starts a handler again that was killed."""
HANGS = (0.0, 0.0, 2.0, 7.0, 30.0)
"""Seconds after which Consul's agent says that it has no leader; with a connection that is half open it says nothing."""
SECONDS = (0.5, 3.0, 12.0, 25.0, 60.0, 200.0)


def handler_killed(run: Run, node: Node, seconds: float) -> None:
    seconds = min(seconds, RESTART) if _unseen(run, node) else seconds
    node.stalled_until = 0.0
    node.idle_until = run.world.now + seconds
    run.world.crash(node, seconds)


def _unseen(run: Run, node: Node) -> bool:
    """A node that nobody sees can only stop a trial copy by itself. Should its handler stay dead or stall in the same minute, or its Docker
    give no answer, the others could not tell that from a power loss, and the old copy would start while the trial, which no proxy leads to,
    still runs: a limit of the design, named in docs/guarantees.rst.
    """
    return run.world.now < node.unseen[1]


def power_lost(run: Run, node: Node, seconds: float) -> None:
    """Containers stop, ``/run`` is empty, an event that was not on disk yet is lost; a send or a restore stays half done."""
    if node.up:
        run.world.power_loss(node, seconds)


def disk_lost(run: Run, node: Node, seconds: float) -> None:
    """The machine that takes its place and its name knows of nothing."""
    volumes_lost(run, node, seconds)
    for lost in (node.journal, node.containers, node.deploys, node.schedules):
        lost.clear()  # type: ignore[attr-defined]


def volumes_lost(run: Run, node: Node, seconds: float) -> None:
    """Their disk is an empty one when the power is back; the host's is as it was."""
    power_lost(run, node, seconds)
    run.disk_lost = run.world.now
    run.gutted |= {app: node.name for app, record in run.records.items() if record.get("master") == node.name}
    for lost in (node.volumes, node.snapshots, node.aside):
        lost.clear()  # type: ignore[attr-defined]


def power_lost_everywhere(run: Run, _node: Node, seconds: float) -> None:
    for node in run.world.nodes.values():
        power_lost(run, node, seconds * run.choice.uniform(0.5, 1.0))


def handler_stalls(run: Run, node: Node, seconds: float) -> None:
    """As a machine that swaps: nothing of the handler goes on, its lease is not renewed, and then it goes on where it was."""
    if not _unseen(run, node):
        node.stalled_until = node.idle_until = run.world.now + seconds


def cut_from_consul(run: Run, node: Node, seconds: float) -> None:
    node.cut_until = run.world.now + seconds
    node.hangs = run.choice.choice(HANGS)


def cut_from_peers(run: Run, node: Node, seconds: float) -> None:
    """Nothing can be sent to it or by it, although it reaches Consul."""
    node.alone_until = run.world.now + seconds


def isolated(run: Run, node: Node, seconds: float) -> None:
    """Cut from everybody: the others take it for dead, and it takes them for dead."""
    if run.world.now < max(node.idle_until, node.silent_until, run.session_ended + BELIEVE):
        return
    cut_from_consul(run, node, seconds)
    cut_from_peers(run, node, seconds)
    node.unseen = (run.world.now, run.world.now + seconds)


def disk_full(run: Run, node: Node, seconds: float) -> None:
    node.full_until = run.world.now + seconds


def volumes_in_use(run: Run, node: Node, seconds: float) -> None:
    """By a container that is nobody's: none can be removed."""
    node.in_use_until = run.world.now + seconds


def journal_full(run: Run, node: Node, seconds: float) -> None:
    """The disk of the host, not that of the volumes."""
    node.journal_full_until = run.world.now + seconds


def docker_killed(run: Run, node: Node, seconds: float) -> None:
    """dockerd dies, and its successor stops what it finds, the handler too; what is ``unless-stopped`` stays down. Tokens stay."""
    if node.up and not _unseen(run, node):
        docker_silent(run, node, seconds)
        for container in node.containers.values():
            container.state = "exited"
        handler_killed(run, node, run.choice.choice((0.5, seconds)))


def docker_silent(run: Run, node: Node, seconds: float) -> None:
    """As while dockerd restarts: containers go on, but nobody can be asked about them, nor Buttervolume, which is a plugin of Docker."""
    if not _unseen(run, node):
        node.silent_until = run.world.now + seconds


def session_ends(run: Run, _node: Node, _seconds: float) -> None:
    """A person ends a session early; but not that of a node that nobody sees, which had no time yet to stop its trial by itself.

    (That sessions end late is always so: see ``World.renew``.)
    """
    if run.world.sessions and not any(_unseen(run, node) for node in run.nodes):
        run.session_ended = run.world.now
        run.world.end_session(run.choice.choice(sorted(run.world.sessions)), delay=True)


def program_fails(run: Run, _node: Node, _seconds: float) -> None:
    run.failing[run.choice.choice(PROGRAMS)] = run.choice.choice((1, 1, 3))


def answer_lost(run: Run, _node: Node, _seconds: float) -> None:
    """A transaction was done, but nobody says so."""
    run.failing["answer"] = 1


def _prepared(run: Run) -> set[str]:
    """The deploys that do not serve yet: those that do are left alone."""
    live = {record.get("deploy_id") for record in run.records.values()}
    return {deploy_id for node in run.world.nodes.values() for _, deploy_id in node.deploys} - live


def version_slow(run: Run, _node: Node, seconds: float) -> None:
    """The deploys that are prepared now need so long until they are healthy."""
    run.world.slow |= dict.fromkeys(_prepared(run), seconds)


def version_sick(run: Run, _node: Node, _seconds: float) -> None:
    """The deploys that are prepared now never become healthy."""
    run.world.sick |= _prepared(run)


def notifications_disturbed(run: Run, _node: Node, seconds: float) -> None:
    """Those who wait for a change of a key hear of it late, in another order, not at all, or of none."""
    run.world.slow_until = run.world.now + seconds


def events_replayed(run: Run, node: Node, _seconds: float) -> None:
    """As an agent does after its restart."""
    for message in run.choice.sample(run.messages, len(run.messages)):
        run.people.deliver(message, node, run.choice.uniform(0.0, 1.0))


def event_in_the_middle(run: Run, _node: Node, _seconds: float) -> None:
    run.people.send()


def person_maintains(run: Run, _node: Node, seconds: float) -> None:
    """Somebody wants the page, or all to wait, and takes that back when no operation of the app is under way."""
    run.people.maintain(run.choice.choice(run.apps), run.choice.choice(("page", "hold")), seconds)


FAULTS: dict[str, Fault] = {
    "handler killed": handler_killed,
    "power lost": power_lost,
    "power lost everywhere": power_lost_everywhere,
    "handler stalls": handler_stalls,
    "cut from Consul": cut_from_consul,
    "cut from peers": cut_from_peers,
    "isolated": isolated,
    "disk full": disk_full,
    "disk lost": disk_lost,
    "volumes lost": volumes_lost,
    "volumes in use": volumes_in_use,
    "journal full": journal_full,
    "Docker silent": docker_silent,
    "Docker killed": docker_killed,
    "session ends": session_ends,
    "program fails": program_fails,
    "answer lost": answer_lost,
    "version sick": version_sick,
    "version slow": version_slow,
    "notifications disturbed": notifications_disturbed,
    "events replayed": events_replayed,
    "event in the middle": event_in_the_middle,
    "person maintains": person_maintains,
}
