"""What a node says of itself in ``node/<name>``: several parts of the worker write there, each only its own fields."""

from __future__ import annotations

from typing import Any

from handler import errors
from handler.core import names, record
from handler.core.kv import Create, Swap
from handler.ports import Store


def say(store: Store, node: str, values: dict[str, Any]) -> None:
    """Put ``values`` over the fields of the same names; writes nothing when they say nothing new."""
    key = names.node_key(node)
    for _ in range(20):
        entry = store.get(key)
        known = record.loads(entry.value if entry else None)
        text = record.dumps({**known, **values})
        if {**known, **values} == known or store.transact([Swap(key, text, entry.index) if entry else Create(key, text)]):
            return
    raise errors.Temporary(f"{key} changes faster than it can be written")
