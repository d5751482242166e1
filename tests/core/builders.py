"""Values for tests."""

from handler.core.model import Event, Kind, Operation, Placement

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
        after=Placement(*after) if kind is Kind.DEPLOY else Placement(),
        deploy_id="new",
        previous_deploy_id="old" if before[0] else "",
        volumes=("v_data",) if before[0] else (),
        addresses=addresses,
        **more,
    )
