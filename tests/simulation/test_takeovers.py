"""When a takeover or a rollback starts, with which data, and what it says of it."""

import json
import re
from dataclasses import replace

import pytest
from faults import cut_from_peers, handler_stalls, power_lost
from story import QUIET, Story

from handler.core import names

COPYING = replace(QUIET, copying=1.0)


def test_a_takeover_says_first_what_may_be_lost(caplog: pytest.LogCaptureFixture) -> None:
    """Who reads the log at 3 a.m. sees the copy's age while it still can be stopped."""
    caplog.set_level("INFO", "handler.execute")
    story = Story(COPYING)
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 60.0, lambda: power_lost(story, story.world.nodes["n1"], 600.0))
    story.tell(120.0, "takeover", master="n2")
    story.go()
    plans = [record.getMessage() for record in caplog.records if " takeover " in record.getMessage() and " -> " in record.getMessage()]
    assert plans
    assert all(
        re.search(r"; its data: the copy of 20[^ ]+, \d+ min old; what was written on n1 after it is not in it", line) for line in plans
    )


def test_a_forced_takeover_starts_when_the_master_that_is_alive_has_stopped() -> None:
    """Also when that takes the master a while."""
    story, seen = Story(COPYING), list[str]()
    app, n1 = story.apps[0], story.world.nodes["n1"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(120.0, "takeover", master="n2", force=True)
    story.when("n1", "stop ", 1, lambda node: handler_stalls(story, node, 15.0))
    story.when("n2", "up /deploy", 1, lambda _: seen.append(n1.containers[app.project].state))
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed"]
    assert seen == ["exited"]


def test_a_takeover_after_a_rollback_whose_copy_did_not_arrive_starts_from_before_it_and_says_so() -> None:
    story = Story(COPYING)
    app, n1 = story.apps[0], story.world.nodes["n1"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.later(story.world.now + 199.0, lambda: cut_from_peers(story, n1, 1000.0))
    story.tell(200.0, "rollback", to=story.clock(60.0))
    story.later(story.world.now + 260.0, lambda: power_lost(story, n1, 500.0))
    story.tell(300.0, "takeover", master="n2")
    story.quiet = story.world.now + 900.0
    story.go()
    assert list(story.outcomes.values()) == ["committed"] * 3
    _, rollback, takeover = (message.id for message in story.messages)
    ((_, copy),) = story.plans[takeover].restore
    assert story.world.taken_at[copy] < story.ended[rollback]
    assert copy.partition("@")[2] in json.loads(story.world.kv[names.history_key(app.name, takeover)].value)["data"]


def test_a_rollback_to_a_deploy_whose_data_was_lost_is_refused_and_not_made_with_other_data() -> None:
    story = Story()
    app, n1 = story.apps[0], story.world.nodes["n1"]
    story.tell(1.0, "deploy", master="n1", slave="n2")
    story.tell(60.0, "deploy", master="n1", slave="n2")

    def lose() -> None:
        n1.containers.clear()
        n1.volumes.clear()
        story.gutted[app.name] = "n1"

    story.later(story.world.now + 120.0, lose)
    for after, number in ((125.0, 0), (180.0, 1)):
        story.later(
            story.world.now + after, lambda number=number: story.people.publish(app, "rollback", {"to": story.deploys[app.name][number]})
        )
    story.go()
    assert list(story.outcomes.values()) == ["committed", "committed", "committed", "aborted"]
