"""From a merged compose configuration to an :class:`AppSpec`: what the cluster has to know of an app. Pure.

Called by the ``CheckApp`` step with what ``docker compose config`` printed, so that anchors, ``extends``, several files and
variables are compose's own business.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

from handler.core import caddyfile, haproxy, limits, names
from handler.core.model import AppSpec, Hook, Service

OWNER_MOUNT = "/run/cluster-owner"
"""Where the owner token appears in every container."""

_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

OVERRIDE = "cluster.override.yml"
"""The generated compose file, last in ``COMPOSE_FILE``."""

NETWORK = "cluster_default"
NONMIGRABLE = "com.github.mlfmonde.cluster.nonmigrable"
"""Label of a volume whose data stays out of a migrate."""
HOOK = "com.github.mlfmonde.cluster.pre-snapshot"
HOOK_SECONDS = f"{HOOK}-timeout"
DEFAULT_SECONDS = 30
_VOLUME = re.compile(r"^[a-zA-Z0-9][a-zA-Z0-9_.-]+$")
_PORT = r":(\d{1,5})\b"


class ComposeError(ValueError):
    """The compose file cannot be used; the message names service and key."""


def read(config: Mapping[str, Any], app: str, drivers: Iterable[str], service_json: str | None = None, page: str = "") -> AppSpec:
    """The spec of ``app``; ``drivers`` are the names under which Buttervolume is known.

    ``service_json`` and ``page`` (its maintenance page, HTML) are files of its repository.

    Raises :class:`ComposeError`, :class:`caddyfile.CaddyfileError` or :class:`haproxy.HaproxyError`.
    """
    raw = config.get("services") or {}
    if not raw:
        raise ComposeError("the compose file has no services")
    services = tuple(_service(name, raw[name] or {}) for name in sorted(raw))
    containers = {s.name: raw[s.name].get("container_name") or names.container_name(app, s.name) for s in services}
    sites = [
        (s, caddyfile.translate(s.environment["CADDYFILE"], containers[s.name], app, page))
        for s in services
        if s.environment.get("CADDYFILE", "").strip()
    ]
    merged = haproxy.merge(
        [(containers[s.name], haproxy.parse(s.environment["HAPROXY"])) for s in services if s.environment.get("HAPROXY", "").strip()]
    )
    for service in services:
        _check_network(service)
    text = "\n".join(site.caddyfile.rstrip() + "\n" for _, site in sites)
    domains = tuple(dict.fromkeys((*(domain for _, site in sites for domain in site.domains), *haproxy.domains(merged))))
    urls = tuple(dict.fromkeys(url for _, site in sites for url in site.urls))
    extra = tuple(url for s in services for url in _check_urls(s))
    volumes = _volumes(config, frozenset(drivers))
    return AppSpec(
        services=services,
        volumes=tuple(volumes),
        nonmigrable=tuple(name for name, volume in volumes.items() if _is_set((volume.get("labels") or {}).get(NONMIGRABLE))),
        caddyfile=text,
        haproxy=merged,
        domains=domains,
        urls=urls,
        checks=tuple(dict.fromkeys((*urls, *extra))),
        ct=_main_container(services, containers),
        upstreams=_upstreams(text, merged, containers.values()),
        claims=_claims(app, domains, merged, volumes),
        own_checks=_own_checks(service_json),
        hooks=hooks(config),
        notes=tuple(f"CADDYFILE of {s.name} is read as {site.dialect}: {site.why}" for s, site in sites),
    )


def _service(name: str, raw: Mapping[str, Any]) -> Service:
    environment = raw.get("environment") or {}
    if isinstance(environment, list):
        environment = dict(item.partition("=")[::2] for item in environment)
    # compose prints a dollar sign as two, so that its output can be read again
    values = {key: str(value).replace("$$", "$") for key, value in environment.items() if value is not None}
    check = raw.get("healthcheck") or {}
    return Service(
        name=name,
        builds="build" in raw,
        environment=values,
        networks=tuple(sorted(raw.get("networks") or ())),
        has_healthcheck=bool(check) and not check.get("disable"),
    )


def hooks(config: Mapping[str, Any]) -> tuple[Hook, ...]:
    """The ``pre-snapshot`` labels of the services, in the order of their names; raises :class:`ComposeError`."""
    found = []
    for name, raw in sorted((config.get("services") or {}).items()):
        labels = (raw or {}).get("labels") or {}
        if isinstance(labels, list):
            labels = dict(item.partition("=")[::2] for item in labels)
        if HOOK in labels or HOOK_SECONDS in labels:
            command = str(labels.get(HOOK) or "").replace("$$", "$")
            found.append(Hook(name, _words(name, command), _seconds(name, str(labels.get(HOOK_SECONDS, DEFAULT_SECONDS)))))
    return tuple(found)


def _words(service: str, command: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(command))
    except ValueError as error:
        raise ComposeError(f"service {service}: the label {HOOK} cannot be read: {error}") from error
    if not words:
        raise ComposeError(f"service {service}: the label {HOOK} names no command")
    return words


def _seconds(service: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= limits.HOOKS:
        raise ComposeError(f"service {service}: the label {HOOK_SECONDS} is {text!r}, not a number of seconds from 1 to {limits.HOOKS}")
    return int(text)


def _check_network(service: Service) -> None:
    routed = [
        key
        for key in ("CADDYFILE", "HAPROXY")
        if "$CONTAINER" in service.environment.get(key, "") or (key == "HAPROXY" and service.environment.get(key))
    ]
    if routed and NETWORK not in service.networks:
        raise ComposeError(
            f"service {service.name} has {routed[0]} but is not on the network {NETWORK}: "
            f"add it to its networks, and declare it as external"
        )


def _volumes(config: Mapping[str, Any], drivers: frozenset[str]) -> dict[str, Mapping[str, Any]]:
    """The volumes on Buttervolume, by name; others stay on their node and are not copied."""
    found = {}
    for key, value in sorted((config.get("volumes") or {}).items()):
        volume = value or {}
        if volume.get("driver") not in drivers or volume.get("external"):
            continue
        name = volume.get("name") or key
        if not _VOLUME.match(name):
            raise ComposeError(f"volume {name!r} has a name that cannot be used: two or more of [a-zA-Z0-9_.-]")
        found[name] = volume
    return found


def _is_set(label: object) -> bool:
    return str(label).lower() in ("true", "1")


def _check_urls(service: Service) -> tuple[str, ...]:
    """``CONSUL_CHECK_URLS``: a JSON or YAML list, or urls between commas and blanks."""
    text = service.environment.get("CONSUL_CHECK_URLS", "").strip()
    if not text:
        return ()
    listed = yaml.safe_load(text) if text.startswith(("[", "- ")) else re.split(r"[\s,;]+", text)
    urls = tuple(str(url) for url in listed if url)
    for url in urls:
        if urlsplit(url).scheme not in ("http", "https", "tcp") or not urlsplit(url).netloc:
            raise ComposeError(f"service {service.name}: CONSUL_CHECK_URLS has {url!r}, which is no url to check")
    return urls


def _main_container(services: Iterable[Service], containers: Mapping[str, str]) -> str:
    """The container that requests go to; the first one when none is named."""
    routed = [s.name for s in services if "CADDYFILE" in s.environment or "HAPROXY" in s.environment]
    return containers[routed[0]] if routed else next(iter(containers.values()))


def _upstreams(text: str, merged: Mapping[str, Any], containers: Iterable[str]) -> tuple[tuple[str, int], ...]:
    found = [(ct, int(port)) for ct in containers for port in re.findall(re.escape(ct) + _PORT, text)]
    for value in merged.values():
        found += [(backend["ct"], int(backend["port"])) for backend in value.get("backends", ())]
    return tuple(dict.fromkeys(found))


def _claims(app: str, domains: Iterable[str], merged: dict[str, Any], volumes: Iterable[str]) -> tuple[str, ...]:
    """Names that belong to one app: its domains, frontends and backends, its project, which two apps may share (``x-y``, ``xy``), and
    its volumes, as a compose file may name them itself, and two branches of one repository then have the same one.
    """
    claimed = {f"project/{names.project_name(app)}": None}
    claimed |= dict.fromkeys(f"domain/{domain}" for domain in domains)
    claimed |= dict.fromkeys(f"frontend/{name}" for name in haproxy.frontends(merged))
    claimed |= dict.fromkeys(map(names.backend_claim, haproxy.backends(merged)))
    claimed |= dict.fromkeys(f"port/{port}" for port in haproxy.ports(merged))
    claimed |= dict.fromkeys(names.volume_claim(volume) for volume in volumes)
    return tuple(sorted(claimed))


def _own_checks(service_json: str | None) -> tuple[Mapping[str, Any], ...] | None:
    """The checks of the repository's ``service.json``, which replace all others; None without that file."""
    if service_json is None:
        return None
    try:
        value = json.loads(service_json)
    except ValueError as error:
        raise ComposeError(f"service.json is not JSON: {error}") from error
    service = value.get("service", value) if isinstance(value, dict) else {}
    checks = service.get("checks") or ([service["check"]] if service.get("check") else [])
    if not isinstance(checks, list) or not all(isinstance(check, dict) for check in checks):
        raise ComposeError("service.json: checks must be a list of objects")
    if any(key.lower() in ("args", "script") for check in checks for key in check):
        raise ComposeError("service.json: checks that run commands on the node are not allowed")
    return tuple(checks)


# --- what we add to the repository's files -------------------------------------------------------------------------


def override(spec: AppSpec, app: str, deploy_id: str, token: str) -> str:
    """The generated compose file: every container needs the owner token; every built image has this deploy's tag."""
    mount = {"type": "bind", "source": token, "target": OWNER_MOUNT, "read_only": True, "bind": {"create_host_path": False}}
    services: dict[str, Any] = {}
    for service in spec.services:
        services[service.name] = {"volumes": [mount]}
        if service.builds:
            services[service.name]["image"] = names.image_tag(app, service.name, deploy_id)
    return "# Generated for this deploy; `docker compose` in this directory reads it by COMPOSE_FILE in .env.\n" + (
        yaml.dump({"services": services}, Dumper=_DUMPER, sort_keys=True)
    )


def dotenv(existing: str | None, app: str, files: Iterable[str]) -> str:
    """``.env``: the repository's own lines, then ours, so that ``docker compose`` by hand works in the directory.

    ``CONTAINER`` stays ``$CONTAINER`` when compose replaces variables: its value is only known per service.
    """
    ours = {
        "COMPOSE_PROJECT_NAME": names.project_name(app),
        "COMPOSE_FILE": ":".join(files),
        "COMPOSE_PATH_SEPARATOR": ":",
        "CONTAINER": "'$CONTAINER'",
    }
    kept = [line for line in (existing or "").splitlines() if line.partition("=")[0].strip() not in ours]
    return "\n".join([*kept, *(f"{key}={value}" for key, value in ours.items())]) + "\n"
