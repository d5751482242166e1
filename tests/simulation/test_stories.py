"""What one seed in many thousands found, told again: so that it happens in every run of the tests."""

from collections.abc import Callable

from faults import isolated
from run import Profile, Run
from world import Node

QUIET = Profile(messages=(0,), most_faults=0, nodes=(3,), apps=(1,), copying=0.0)
"""Nothing happens but what a story tells."""


class Story(Run):
    """Three nodes and one app; ``tell`` and ``when`` say what happens."""

    def tell(self, after: float, kind: str, **payload: object) -> None:
        """Somebody sends a message so many seconds after the beginning."""
        self.later(self.world.now + after, lambda: self._publish(self.apps[0], kind, payload))

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


def test_a_master_that_was_replaced_while_its_own_operation_was_open_starts_nothing() -> None:
    """Its handler lived on, cut off; what it learns first when it is back is that its operation was aborted. Seed 15422 of 100,000."""
    story = Story(1, QUIET)
    story.tell(1.0, "deploy", master="n2", slave="n3")
    story.tell(60.0, "deploy", master="n2", slave="n1")
    story.when("n2", "before begun commit", 2, lambda node: isolated(story, node, 250.0))
    story.tell(180.0, "takeover", master="n3")
    story.go()
    assert list(story.outcomes.values()) == ["committed", "aborted", "committed"]
    assert story.records[story.apps[0].name]["master"] == "n3"
