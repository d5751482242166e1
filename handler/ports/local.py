"""What stands on this node: git, Docker, Buttervolume, the disk, the proxies, the clock."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from handler.core.copies import Held
from handler.core.model import Container

Guard = Callable[[], None]
"""Asked again and again while something long runs; raises (``LeaseLost``) when it must stop."""


class Code(Protocol):
    """Repositories (git)."""

    def fetch(self, repo: str, branch: str, directory: str, commit: str = "") -> str:
        """Clone one branch, shallow, into a new ``directory`` (absolute); returns the commit. Nothing is left on failure.

        With ``commit`` (a full hash), that one instead of the branch's newest; ``Permanent`` when the repository does not have it.
        """


class Compose(Protocol):
    """Docker compose and the containers of a project. ``directory`` is a prepared deploy directory."""

    def config(self, directory: str) -> dict[str, Any]:
        """The merged configuration as ``docker compose config`` prints it; ``CommandFailed`` when it does not parse."""

    def pull(self, directory: str, services: Sequence[str], *, refresh: bool) -> None:
        """Pull the images of ``services`` (those without ``build``) that are not on this node yet.

        With ``refresh`` also those that are, where the compose file has a ``pull_policy`` of ``always`` or every so often.
        """

    def build(self, directory: str, guard: Guard) -> None:
        """Build every service that has a ``build``."""

    def up(self, directory: str, guard: Guard) -> None:
        """Create and start all containers, in the background; removes orphans of the project."""

    def stop(self, project: str, seconds: int) -> None:
        """Stop the containers of a project and keep them; ``seconds`` until they are killed. Fine when there are none."""

    def remove(self, project: str) -> None:
        """Remove containers and own networks of a project, running or not; volumes stay. Fine when there are none."""

    def running(self, project: str) -> tuple[str, ...]:
        """Names of a project's containers that run and are not frozen, those of ``docker compose run`` too."""

    def pause(self, containers: Sequence[str]) -> None:
        """Freeze running containers, all at the same time."""

    def unpause(self, containers: Sequence[str]) -> None:
        """Let frozen containers go on; fine when they are gone or do."""

    def execute(self, project: str, service: str, command: Sequence[str], seconds: float) -> None:
        """Run a command inside the running container of a service; ``Permanent`` when it fails, or is still under way since before."""

    def containers(self, project: str) -> tuple[Container, ...]:
        """All containers of a project, running or not, but those of ``docker compose run``."""

    def logs(self, project: str, lines: int) -> str:
        """The last lines of every container, for the history."""

    def remove_images(self, app_tag_prefix: str, keep: Sequence[str]) -> None:
        """Remove the images ``<prefix>*`` that the handler built, but those whose tag is in ``keep``, or that are in
        use. ``Temporary`` when Docker does not answer.
        """


class Volumes(Protocol):
    """Volumes and their snapshots (Buttervolume on btrfs). Snapshot names are ``<volume>@<time>``."""

    def flush_on_commit(self) -> None:
        """From now on what is complete on this node is so after a power loss, too, also what it receives; asked for at each start, as it
        ends with a boot. ``CommandFailed`` when the file system cannot be mounted so.
        """

    def exists(self, volume: str) -> bool:
        """Whether the live volume is on this node."""

    def unfit(self, volume: str) -> str:
        """Why what has this name on this node cannot be an app's volume: it is of another driver, and compose would use it all the same, or
        no snapshot would have all of it. Empty when it can, or when nothing has the name. ``Temporary`` when Docker does not answer.
        """

    def live(self, project: str) -> tuple[str, ...]:
        """The live volumes of a compose project on this node."""

    def create(self, volume: str, labels: Mapping[str, str]) -> None:
        """Create an empty volume through Docker with compose's labels; fine when it is there."""

    def remove(self, volume: str) -> None:
        """Remove the live volume; fine when it is not there; ``Temporary`` while a container uses it."""

    def snapshot(self, volumes: Sequence[str], *, aside: bool = False) -> dict[str, str]:
        """Take read-only snapshots one right after the other; returns volume -> name. All names have the same time, that
        no other call gives: it names one point of the whole app, if nothing of it runs meanwhile. With ``aside`` they are put aside before
        they exist.
        """

    def sync(self) -> None:
        """Write what this node's volumes have in memory, so that a snapshot, for which an app stands still, has little left to write.
        Says nothing of what fails: the snapshot will.
        """

    def unchanged(self, volume: str, snapshot: str) -> bool:
        """Whether nothing was written to the live volume since that snapshot was taken of it; False also when that cannot be known."""

    def put_aside(self, snapshots: Collection[str]) -> None:
        """These snapshots of this node are no copies of the app that has their volume now; on disk when this returns."""

    def send(self, snapshot: str, host: str, guard: Guard, *, in_order: bool = True, meanwhile: Guard | None = None) -> None:
        """Send a snapshot to the node at address ``host``, in increments when a common parent is known; fine when it was
        sent before. ``CommandFailed`` when it fails. Of one volume there is one send to a host at a time: ``guard`` is asked again when
        the ones before have ended. They go in the order in which they were taken: ``Overtaken`` when a newer one was begun before, also
        by a process that died in it; unless ``in_order`` is False, for a host where they are no copies.

        ``meanwhile`` is asked every second, since a large volume takes hours: what it raises ends the wait. The send itself goes on, as
        nothing can stop it, and those that follow wait for it.
        """

    def sending(self, volumes: Collection[str]) -> Collection[tuple[str, str]]:
        """Pairs (volume, ``host``) of the sends that are under way, also of those whose caller has gone on."""

    def complete(self, snapshot: str) -> bool:
        """Whether the snapshot is here, and not the part that an interrupted receive left behind."""

    def adopt(self, snapshot: str, host: str) -> None:
        """Remember that ``host`` has this received snapshot too, so that the way back is incremental; nothing for an empty ``host``."""

    def restore(self, snapshot: str, volume: str) -> None:
        """Make the live volume a writable copy of exactly this snapshot, instead of what was live."""

    def drop(self, snapshot: str) -> None:
        """Delete a snapshot and its markers; fine when it is not there."""

    def schedule(self, volume: str, actions: Mapping[str, int]) -> None:
        """Make ``actions`` (Buttervolume action -> minutes) the only scheduled ones of a volume; empty removes all.

        They are written as paused: people see and change them there, but our worker carries them out.
        """

    def schedules(self) -> Mapping[str, Mapping[str, int]]:
        """The scheduled actions of every volume."""

    def pause_schedules(self, volumes: Collection[str]) -> None:
        """Keep Buttervolume's own scheduler from what :mod:`handler.copies` does for these volumes; those of people are left alone."""

    def listed(self) -> frozenset[str]:
        """Names of all snapshots and markers on this node, parts too, for whoever waits for a new one; cheap."""

    def stock(self) -> Mapping[str, Sequence[Held]]:
        """All snapshots on this node by volume, in the order in which they came to be here, whatever clock their names are from."""

    def size(self, snapshot: str, seconds: float) -> int | None:
        """Bytes in a snapshot; None when it is not here, or when they cannot be added up within ``seconds``."""


class Deploys(Protocol):
    """The deploy directories and the owner tokens of this node."""

    def path(self, app: str, deploy_id: str) -> str:
        """Absolute path of a deploy's directory."""

    def list(self, app: str) -> tuple[str, ...]:
        """Deploy ids of an app that have a directory here, sorted."""

    def read(self, app: str, deploy_id: str, name: str) -> str | None:
        """A small text file of a checkout, or None; refuses to leave the directory."""

    def write(self, app: str, deploy_id: str, name: str, text: str) -> None:
        """Write a file of the deploy directory atomically."""

    def remove(self, app: str, deploy_id: str) -> None:
        """Delete a deploy directory; fine when it is not there."""

    def run(self, app: str, deploy_id: str, words: Sequence[str], seconds: int, guard: Guard) -> None:
        """Run a script of the repository, with arguments, in its directory; ``CommandFailed`` with its last lines."""

    def token(self, app: str) -> str:
        """Path of the owner token of an app."""

    def own(self, app: str, deploy_id: str) -> None:
        """Put the owner token."""

    def disown(self, app: str) -> None:
        """Take the owner token away."""

    def owned(self, app: str) -> str | None:
        """Deploy id in the owner token, or None."""


class Proxies(Protocol):
    """This node's HAProxy and Caddy."""

    def begin(self) -> None:
        """Let them begin to serve after a boot: nothing is started, and fails, by itself any more."""

    def check(self, app: str, site: str, haproxy: Mapping[str, Any]) -> None:
        """Validate an app's part alone with the real programs; ``BadInput`` with their words."""

    def prepare(self, app: str, site: str) -> None:
        """Make this node's Caddy know the app's part before the record says so; whatever the record says meanwhile."""

    def settle(self, app: str, *, committed: bool) -> None:
        """End :meth:`prepare`: what is rendered from the record counts again; fine when there was none."""

    def hash_password(self, password: str) -> str:
        """What may be written into a Caddyfile in the place of a password."""

    def hold(self, app: str, event: str) -> None:
        """Hold the app's requests on this node at once, for an event, without waiting for what Consul's templates will say anyway."""

    def release(self, app: str) -> None:
        """No operation of the app is under way: it is held as long as the templates say so, or for a few seconds."""

    def tick(self) -> None:
        """Do what is due by time; called every few seconds."""

    def holds(self, app: str) -> bool:
        """Whether this node's HAProxy holds the app's requests right now."""

    def busy(self, upstreams: Sequence[tuple[str, int]]) -> int:
        """Requests in flight from this node's Caddy to these (container, port); 0 when unknown."""


class Probe(Protocol):
    """Asking a container over the network."""

    def answers(self, address: str, port: int, seconds: float) -> bool:
        """Whether something accepts connections there."""


class Journal(Protocol):
    """What this node has done in each operation; on disk, survives kill -9."""

    def events(self, app: str) -> tuple[str, ...]:
        """The operations of an app that have a journal."""

    def done(self, app: str, event: str) -> frozenset[str]:
        """The entries written for an operation."""

    def mark(self, app: str, event: str, entry: str) -> None:
        """Add an entry; on disk when this returns."""

    def erase(self, app: str, event: str) -> None:
        """Delete one journal; fine when it is not there."""

    def forget(self, app: str, keep: Sequence[str]) -> None:
        """Delete the journals of the app's operations that are not in ``keep``."""


class Clock(Protocol):
    """Time."""

    def now(self) -> float:
        """Seconds since the epoch, for people; nodes' clocks may differ by hours."""

    def monotonic(self) -> float:
        """Seconds for measuring and for deadlines."""

    def sleep(self, seconds: float) -> None:
        """Wait."""
