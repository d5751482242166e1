"""Prepare: everything that can fail is done while the app still serves."""

from __future__ import annotations

import logging
from typing import Any

from handler import claims, errors, trial
from handler.context import Context
from handler.core import composefile, names, record
from handler.core import steps as s
from handler.core.model import Kind
from handler.residence import Residence, residence

log = logging.getLogger(__name__)

COMPOSE_FILES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDES = ("compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml")
COMMIT_FILE = ".cluster-commit"


def fetch_code(ctx: Context, step: s.FetchCode) -> None:
    """Clone; a directory that is complete (it has its commit file) is left as it is."""
    deploys, op = ctx.ports.deploys, ctx.op
    if deploys.read(ctx.app, step.deploy_id, COMMIT_FILE):
        return
    deploys.remove(ctx.app, step.deploy_id)
    commit = ctx.ports.code.fetch(op.event.repo, op.event.branch, ctx.directory(step.deploy_id), op.commit or _committed(ctx))
    deploys.write(ctx.app, step.deploy_id, COMMIT_FILE, commit + "\n")


def _committed(ctx: Context) -> str:
    """What the master runs: a slave takes the same commit, also when the branch has gone on meanwhile."""
    return str(((ctx.hear("outcome") or {}).get("record") or {}).get("commit") or "")


def check_app(ctx: Context, step: s.CheckApp) -> None:  # noqa: ARG001
    """Read the compose file, validate the proxies' parts alone, write ``.env`` and the override file."""
    deploys, app, deploy_id = ctx.ports.deploys, ctx.app, ctx.op.deploy_id
    files = [name for group in (COMPOSE_FILES, OVERRIDES) for name in _first_present(ctx, group)]
    if not files or files[0] in OVERRIDES:
        raise errors.BadInput(f"{ctx.op.event.branch} has no {COMPOSE_FILES[2]}: nothing to deploy")
    existing = deploys.read(app, deploy_id, ".env")
    deploys.write(app, deploy_id, ".env", composefile.dotenv(existing, app, files))
    spec = ctx.spec(deploy_id)
    for note in spec.notes:
        log.info("%s: %s", app, note)
    if why := record.too_large(record.app_record(ctx.op, spec, "", "", {})):
        raise errors.BadInput(why)
    ctx.ports.proxies.check(app, spec.caddyfile, spec.haproxy)
    token = deploys.token(app)
    deploys.write(app, deploy_id, composefile.OVERRIDE, composefile.override(spec, app, deploy_id, token))
    deploys.write(app, deploy_id, ".env", composefile.dotenv(existing, app, (*files, composefile.OVERRIDE)))


def _first_present(ctx: Context, candidates: tuple[str, ...]) -> list[str]:
    present = [name for name in candidates if ctx.ports.deploys.read(ctx.app, ctx.op.deploy_id, name) is not None]
    return present[:1]


def claim_names(ctx: Context, step: s.ClaimNames) -> None:  # noqa: ARG001
    """A rollback also brings back volumes that only the deploy after that one had, and whose names may be another app's by now.

    What is on this node already under a name that is new to the app is not its data, and it must not begin with it. Nor with what nobody
    could copy, a volume of another driver say.
    """
    spec = ctx.spec(ctx.op.deploy_id)
    wanted = (*spec.claims, *(names.volume_claim(volume) for volume, _ in ctx.op.restore))
    claims.check(ctx.ports.store, ctx.app, wanted)
    own = {*ctx.op.volumes, *dict(ctx.op.restore)} - (trial.left(ctx.ports, ctx.app, ctx.op.event.id) - _brought(ctx))
    for volume in spec.volumes:
        if volume not in own and ctx.ports.volumes.exists(volume):
            raise errors.BadInput(
                f"there is a volume {volume} on {ctx.me} already, which is no data of {ctx.app}: what a destroyed app or a failed version "
                f"left goes by itself when nothing uses it; snapshot and remove anything else, and roll back to that after the deploy"
            )
    for volume in dict.fromkeys((*spec.volumes, *dict(ctx.op.restore))):
        if why := ctx.ports.volumes.unfit(volume):
            raise errors.BadInput(f"volume {volume} on {ctx.me} {why}; then send the event again")
    claims.take(ctx.ports.store, ctx.app, wanted)


def _brought(ctx: Context) -> set[str]:
    """Volumes that are replaced before the app starts, whatever is there now."""
    lives = residence(ctx.ports.store, ctx.app) or Residence()
    return {*dict(ctx.op.restore), *(lives.volumes if ctx.op.moves else ())}


def pull_images(ctx: Context, step: s.PullImages) -> None:  # noqa: ARG001
    """Pull what is not built here. Only a deploy asks for newer images: nothing else may depend on a registry."""
    spec = ctx.spec(ctx.op.deploy_id)
    pulled = [service.name for service in spec.services if not service.builds]
    if pulled:
        ctx.ports.compose.pull(ctx.directory(ctx.op.deploy_id), pulled, refresh=ctx.op.event.kind is Kind.DEPLOY)


def build_images(ctx: Context, step: s.BuildImages) -> None:  # noqa: ARG001
    """Build under this deploy's tags, beside the version that runs."""
    if any(service.builds for service in ctx.spec(ctx.op.deploy_id).services):
        ctx.ports.compose.build(ctx.directory(ctx.op.deploy_id), ctx.guard)


def prepare_routes(ctx: Context, step: s.PrepareRoutes) -> None:  # noqa: ARG001
    """A reload of Caddy takes longer than lifting the hold, so that it must not come after it."""
    ctx.ports.proxies.prepare(ctx.app, ctx.spec(ctx.op.deploy_id).caddyfile)


def settle_routes(ctx: Context, step: s.SettleRoutes) -> None:
    """Back to what the record says."""
    ctx.ports.proxies.settle(ctx.app, committed=step.committed)


def say_prepared(ctx: Context, step: s.SayPrepared) -> None:  # noqa: ARG001
    """From here the source may hold and stop."""
    value: dict[str, Any] = {"node": ctx.me}
    ctx.say("prepared", value)
