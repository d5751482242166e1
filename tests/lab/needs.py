"""What an operation of ``test_crash_points`` needs beside its app: something to go back to, an app that gives its data, something wrong."""

from collections.abc import Mapping
from dataclasses import dataclass

from conftest import App, Lab
from crash_points import THIRD, Setup

from clusterlab.node import Node
from clusterlab.run import wait_until
from clusterlab.writer import Writer
from handler.core.model import Kind


@dataclass(frozen=True)
class Earlier:
    """What an operation may go back to: ``to`` as its message says it, and what was acknowledged until then."""

    kind: Kind
    data_only: bool
    to: str
    acknowledged: Mapping[str, str]

    def fits(self, setup: Setup) -> bool:
        return (self.kind, self.data_only) == (setup.kind, setup.data_only)


@dataclass
class Giver:
    """An app whose data is brought into others, on a node."""

    app: App
    writer: Writer

    @classmethod
    def on(cls, lab: Lab, node: str) -> "Giver":
        app = lab.app(f"origin{node}")
        assert app.deploy(node)["outcome"] == "committed"
        writer = Writer(lab.node(THIRD).address, app.domain, app.name)
        wait_until("a line is acknowledged", writer.write, 30)
        return cls(app, writer)


class Spoiled:
    """Something is wrong on a node as long as the block lasts; nothing when there is no node."""

    def __init__(self, node: Node | None, spoil: str, mend: str) -> None:
        self.node, self.commands = node, (spoil, mend)

    def __enter__(self) -> None:
        if self.node:
            self.node.inside(["sh", "-c", self.commands[0]])

    def __exit__(self, *_: object) -> None:
        if self.node:
            self.node.inside(["sh", "-c", self.commands[1]])
