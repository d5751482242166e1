"""The role matrix: what a node does, from the role it has and the role it gets. README's table is generated from it."""

from __future__ import annotations

import enum

from handler.core.model import Role


class Recipe(enum.Enum):
    """One cell of the matrix; the value is what people read."""

    REDEPLOY = "redeploy in place"
    HAND_OVER = "hand over, then stand by"
    LEAVE = "hand over, then forget"
    RECEIVE = "receive, start, replicate on"
    START = "receive all (or start new), start"
    STAND_BY = "stand by with the new version"
    FORGET = "forget"
    NOTHING = "nothing"


MATRIX: dict[tuple[Role, Role], Recipe] = {
    (Role.MASTER, Role.MASTER): Recipe.REDEPLOY,
    (Role.MASTER, Role.SLAVE): Recipe.HAND_OVER,
    (Role.MASTER, Role.NOTHING): Recipe.LEAVE,
    (Role.SLAVE, Role.MASTER): Recipe.RECEIVE,
    (Role.SLAVE, Role.SLAVE): Recipe.STAND_BY,
    (Role.SLAVE, Role.NOTHING): Recipe.FORGET,
    (Role.NOTHING, Role.MASTER): Recipe.START,
    (Role.NOTHING, Role.SLAVE): Recipe.STAND_BY,
    (Role.NOTHING, Role.NOTHING): Recipe.NOTHING,
}


def table() -> str:
    """The matrix as a reStructuredText table, for README and the test that compares them."""
    head = ["was \\ becomes", *(str(role) for role in Role)]
    rows = [[f"**{was}**", *(MATRIX[was, becomes].value for becomes in Role)] for was in Role]
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    rule = "  ".join("=" * width for width in widths)
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    title = "  ".join(cell.ljust(width) for cell, width in zip(head, widths, strict=True)).rstrip()
    return "\n".join([rule, title, rule, *lines, rule])
