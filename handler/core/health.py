"""When a started app counts as healthy. Pure; asked again and again by ``AwaitHealthy``.

A container with a health check must be healthy; one that the proxies send requests to, and has no health check, must accept
connections; any other must run, or have ended well, but not all of them. Where there is neither check nor port, everything must
stay up for a while.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from handler.core import limits
from handler.core.model import AppSpec, Container

MAX_RESTARTS = 3


@dataclass(frozen=True)
class Verdict:
    """``failed`` means that waiting is useless."""

    ready: bool
    failed: bool = False
    why: str = ""


def judge(spec: AppSpec, containers: Iterable[Container], answered: Collection[tuple[str, int]], seconds: float) -> Verdict:
    """Judge what is seen ``seconds`` after the start; ``answered`` are the (container, port) that accepted a connection."""
    found = tuple(containers)
    broken = [why for c in found if (why := _broken(c))]
    if broken:
        return Verdict(ready=False, failed=True, why="; ".join(broken))
    missing = {service.name for service in spec.services} - {c.service for c in found}
    if missing:
        return Verdict(ready=False, why=f"no container of {', '.join(sorted(missing))} yet")
    waiting = [why for c in found if (why := _waiting(c, must_run=_serves(spec, c)))]
    if all(c.state != "running" for c in found):
        waiting.append("nothing runs")
    waiting += [f"{name} does not answer on port {port}" for name, port in to_probe(spec, found) if (name, port) not in answered]
    if waiting:
        return Verdict(ready=False, why="; ".join(waiting))
    blind = not spec.upstreams and not any(c.health for c in found)
    if blind and seconds < limits.WATCH:
        return Verdict(ready=False, why=f"no health check and no port: watching for {limits.WATCH:.0f} s")
    return Verdict(ready=True)


def to_probe(spec: AppSpec, containers: Iterable[Container]) -> tuple[tuple[str, int], ...]:
    """The (container, port) pairs that have to accept a connection."""
    checked = {c.name for c in containers if c.health}
    return tuple((name, port) for name, port in spec.upstreams if name not in checked)


def _broken(container: Container) -> str:
    if container.health == "unhealthy":
        return f"{container.name} is unhealthy"
    if container.state in ("exited", "dead") and container.exit_code:
        return f"{container.name} ended with code {container.exit_code}"
    if container.restarts >= MAX_RESTARTS:
        return f"{container.name} was restarted {container.restarts} times"
    return ""


def _serves(spec: AppSpec, container: Container) -> bool:
    checked = {service.name for service in spec.services if service.has_healthcheck}
    return container.service in checked or container.name in dict(spec.upstreams)


def _waiting(container: Container, *, must_run: bool) -> str:
    if container.health and container.health != "healthy":
        return f"{container.name} is {container.health}"
    ended_well = container.state == "exited" and not container.exit_code and not must_run
    return "" if container.state == "running" or ended_well else f"{container.name} is {container.state}"
