"""A run of the simulation in which nothing happens but what a test tells."""

from collections.abc import Callable
from datetime import UTC, datetime

from apps import App
from run import Profile, Run
from world import START, Node

QUIET = Profile(messages=(0,), most_faults=0, nodes=(3,), apps=(1,), copying=0.0, clocks=(0.0,))
"""Three nodes and one app."""


class Story(Run):
    """``tell`` and ``when`` say what happens."""

    def __init__(self, profile: Profile = QUIET) -> None:
        super().__init__(1, profile)

    def tell(self, after: float, kind: str, one: App | None = None, /, **payload: object) -> None:
        """Somebody sends a message so many seconds after the beginning; of the first app, when no other is named."""
        self.later(self.world.now + after, lambda: self.people.publish(one or self.apps[0], kind, payload))

    def clock(self, after: float) -> str:
        """The time so many seconds after the beginning, as a rollback is given it."""
        return f"{datetime.fromtimestamp(START + self.world.now + after, UTC):%Y-%m-%dT%H:%M:%S}"

    def when(self, name: str, words: str, times: int, what: Callable[[Node], None]) -> None:
        """Do something when a node calls a port with these words, at the so-manieth time."""
        before, left = self.world.on_step, [times]

        def step(node: Node, said: str) -> None:
            before(node, said)
            if node.name == name and words in said:
                left[0] -= 1
                if not left[0]:
                    what(node)

        self.world.on_step = step
