"""Names: app, compose project, deploy directory, KV keys. Pure; used by everybody.

The app's name is the seed's: ``<repo basename>_<branch>.<first 5 hex of md5(url path)>`` of the url in lower case
without ``.git``, so that records written by earlier versions are found again.
"""

from __future__ import annotations

import hashlib
import re
from urllib.parse import urlsplit

from handler.core.kv import Create

_SCP_FORM = re.compile(r"^(?P<host>[^/:@]+@[^/:]+|[^/:@]+):(?P<path>[^/].*)$")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_FILE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]+")
_LONGEST = 200
"""Characters of a name: a file's may have 255, and deploy ids, suffixes and the names of services are added to an app's."""


def url_path(url: str) -> str:
    """The path part of a repository's url, lower case, with one slash before it, none after it, and without ``.git``.

    Raises ``ValueError`` for what is no url at all, such as ``https://a[b/x``.
    """
    text = url.strip().lower().rstrip("/")
    scp = _SCP_FORM.match(text)
    path = scp["path"] if scp and "://" not in text else urlsplit(text).path
    return "/" + path.strip("/").removesuffix(".git")


def app_name(repo: str, branch: str) -> str:
    """Name of the app that lives in ``branch`` of ``repo``: its key in Consul and the start of its directory's name.

    A branch such as ``feature/x`` cannot stand in a key or a file's name: it is made fit, and told apart by its own hash.
    """
    path = url_path(repo)
    digest = hashlib.md5(path.encode(), usedforsecurity=False).hexdigest()[:5]
    basename = _UNSAFE.sub("-", path.rsplit("/", 1)[-1])
    fit = re.sub(r"\.{2,}|\.$", "-", _UNSAFE.sub("-", branch))  # a dot follows, and two would be a way upwards
    if fit != branch:
        fit += "-" + hashlib.md5(branch.encode(), usedforsecurity=False).hexdigest()[:4]
    return f"{basename}_{fit}.{digest}"


def is_file_name(name: str) -> bool:
    """Whether ``name`` can stand in a path, and be nothing but one file's or folder's name."""
    return bool(_FILE.fullmatch(name)) and ".." not in name and len(name) <= _LONGEST


def is_volume(name: str) -> bool:
    """Whether Docker takes ``name`` as that of a volume."""
    return bool(_VOLUME.fullmatch(name))


def project_name(app: str) -> str:
    """The compose project's name of an app: the app's name stripped to ``[a-z0-9]``."""
    return re.sub(r"[^a-z0-9]", "", app.lower())


def image_tag(app: str, service: str, deploy_id: str) -> str:
    """Image of a service that is built: one tag per deploy, so that building never overwrites what runs."""
    return f"cluster/{project_name(app)}-{service.lower()}:{deploy_id}"


def container_name(app: str, service: str) -> str:
    """Name that compose v2 gives to the first container of a service."""
    return f"{project_name(app)}-{service}-1"


TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%f"
"""Buttervolume's form of the time in a snapshot's name, in UTC."""


def volume_name(app: str, key: str) -> str:
    """Docker's name of the volume that the compose file calls ``key``."""
    return f"{project_name(app)}_{key}"


def volume_key(app: str, volume: str) -> str:
    """What the compose file calls the volume: the same in all apps of one kind; empty for one with a ``name`` of its own."""
    prefix = f"{project_name(app)}_"
    return volume.removeprefix(prefix) if volume.startswith(prefix) else ""


# --- keys in Consul (the layout is a contract with people and templates) -------------------------------------------


def record_key(app: str) -> str:
    """The record that the proxies are rendered from."""
    return f"app/{app}"


def hold_key(app: str) -> str:
    """Present while the app is held or shows its maintenance page."""
    return f"maintenance/{app}"


def intent_key(app: str) -> str:
    """The newest accepted event of the app."""
    return f"intent/{app}"


def lock_key(app: str) -> str:
    """The lease of the operation; never deleted, since Consul restarts its counters with the key."""
    return f"lock/{app}"


def op_prefix(app: str, event: str = "") -> str:
    """All hand-over keys of one operation, or of all operations of the app."""
    return f"op/{app}/{event}/" if event else f"op/{app}/"


def op_key(app: str, event: str, part: str) -> str:
    """One hand-over key: ``plan``, ``prepared``, ``released``, ``outcome`` or ``copied``."""
    return f"op/{app}/{event}/{part}"


def create_outcome(app: str, event: str, value: str) -> Create:
    """The one write that ends an operation: create-only, so that a commit and an abort exclude each other."""
    return Create(op_key(app, event, "outcome"), value)


def history_key(app: str, event: str) -> str:
    """What happened in one operation."""
    return f"history/{app}/{event}"


def claim_key(name: str) -> str:
    """The owner of a domain (``domain/...``), a frontend's name (``frontend/...``), a backend's, a volume (``volume/...``) and others."""
    return f"claim/{name}"


def volume_claim(volume: str) -> str:
    """The name under which an app claims a volume."""
    return f"volume/{volume}"


def backend_claim(backend: str) -> str:
    """The name under which an app claims a backend of HAProxy."""
    return f"backend/{backend}"


def node_key(node: str) -> str:
    """What a node says of itself."""
    return f"node/{node}"


REFUSED = "refused"
"""Stands for the app in ``history/`` when an event is refused before it is anybody's intent: ``cluster history refused``."""
