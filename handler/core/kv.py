"""The conditions and writes that one Consul transaction is made of, as values."""

from __future__ import annotations

from dataclasses import dataclass

MOST_OPERATIONS = 128
"""Operations in one transaction that Consul takes: https://developer.hashicorp.com/consul/api-docs/txn."""


@dataclass(frozen=True)
class Set:
    """Write without a condition."""

    key: str
    value: str


@dataclass(frozen=True)
class Create:
    """Write only if the key does not exist."""

    key: str
    value: str


@dataclass(frozen=True)
class Swap:
    """Write only if the key's ModifyIndex is still ``index``."""

    key: str
    value: str
    index: int


@dataclass(frozen=True)
class Delete:
    """Delete; fine when the key does not exist."""

    key: str


@dataclass(frozen=True)
class DeleteTree:
    """Delete every key that begins with ``prefix`` (which ends in ``/``)."""

    prefix: str


@dataclass(frozen=True)
class CheckSession:
    """The key must be locked by this session."""

    key: str
    session: str


@dataclass(frozen=True)
class CheckAbsent:
    """The key must not exist."""

    key: str


@dataclass(frozen=True)
class CheckIndex:
    """The key's ModifyIndex must be ``index``."""

    key: str
    index: int


Op = Set | Create | Swap | Delete | DeleteTree | CheckSession | CheckAbsent | CheckIndex
