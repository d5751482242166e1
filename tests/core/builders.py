"""Values for tests."""

from handler.core.model import Event, Kind, Operation, Origin, Placement

APP = "hello_main.5d414"


def event(master: str = "a", slave: str = "", kind: Kind = Kind.DEPLOY, *, update: bool = False) -> Event:
    return Event("0123456789", kind, APP, "git://git.lab/hello", "main", master, slave, update)


def operation(
    before: tuple[str, str] = ("", ""), after: tuple[str, str] = ("a", ""), kind: Kind = Kind.DEPLOY, **more: object
) -> Operation:
    addresses = tuple((node, f"10.0.0.{number}") for number, node in enumerate("abc", 1))
    return Operation(
        event=event(*after, kind=kind),
        before=Placement(*before),
        after=Placement() if kind is Kind.DESTROY else Placement(*after),
        previous_deploy_id="old" if before[0] else "",
        volumes=("v_data",) if before[0] else (),
        addresses=addresses,
        **{"deploy_id": "new", **more},
    )


def rollback(place: tuple[str, str], *, code: bool) -> Operation:
    """To an earlier deploy, or only to earlier data."""
    return operation(place, place, Kind.ROLLBACK, deploy_id="new" if code else "old", restore=(("v_data", "v_data@t"),))


def takeover(before: tuple[str, str], master: str) -> Operation:
    slave = before[1] if before[1] not in ("", master) else before[0]
    return operation(before, (master, slave), Kind.TAKEOVER, deploy_id="old", restore=(("v_data", "v_data@t"),))


def migrate(place: tuple[str, str], origin: str, *, keeps: bool) -> Operation:
    """Into the app at ``place``, from another that lives on ``origin``."""
    gives = Origin("other_main.12345", origin, (("o_data", "v_data"),), keeps=keeps)
    return operation(place, place, Kind.MIGRATE, deploy_id="old", origin=gives)
