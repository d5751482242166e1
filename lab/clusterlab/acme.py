"""A certificate authority for the lab: Let's Encrypt's own test server, pebble, which asks the nodes over the network as the real one does.

Every name leads to the last node of the lab, as far as the authority can see.
"""

from __future__ import annotations

import json

from clusterlab import images
from clusterlab.base import BIN
from clusterlab.node import LABEL, NETWORK, SUBNET, Node
from clusterlab.run import CACHE, run, wait_until

NAME = "cluster-lab-acme"
ADDRESS = f"{SUBNET}.6"
DIRECTORY = f"https://{ADDRESS}:14000/dir"
ROOT = "/var/lib/cluster/proxy/caddy/acme-root.pem"
"""Where a node's Caddy finds whom to believe that it speaks to the authority."""
_OWN_CERTIFICATE = "openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=acme.lab"
_NAMES = "pebble-challtestsrv -defaultIPv6 '' -http01 '' -https01 '' -tlsalpn01 '' -doh '' -dnsserver 127.0.0.1:53"
_FOLDER = CACHE / "state" / "acme"


def start(leads_to: str) -> None:
    """Start it; ``leads_to`` is the address of a node."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    config = {
        "listenAddress": "0.0.0.0:14000",
        "managementListenAddress": "0.0.0.0:15000",
        "httpPort": 80,
        "tlsPort": 443,
        "certificate": "/acme/cert.pem",
        "privateKey": "/acme/key.pem",
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
    }
    (_FOLDER / "config.json").write_text(json.dumps({"pebble": config}))
    (_FOLDER / "cert.pem").unlink(missing_ok=True)
    script = "; ".join(
        (
            f"{_OWN_CERTIFICATE} -addext subjectAltName=IP:{ADDRESS} -keyout /acme/key.pem -out /acme/cert.pem",
            f"{_NAMES} -defaultIPv4 {leads_to} &",
            "exec pebble -config /acme/config.json -dnsserver 127.0.0.1:53",
        )
    ).replace("&;", "&")
    programs = [f"--volume={BIN / name}:/usr/local/bin/{name}:ro" for name in ("pebble", "pebble-challtestsrv")]
    place = [f"--name={NAME}", f"--network={NETWORK}", f"--ip={ADDRESS}", f"--label={LABEL}"]
    options = ["--env=PEBBLE_VA_NOSLEEP=1", "--env=PEBBLE_WFE_NONCEREJECT=0", "--init", "--entrypoint=sh"]
    run(["docker", "run", "-d", *place, f"--volume={_FOLDER}:/acme", *programs, *options, images.NODE, "-c", script])
    wait_until("the certificate authority", lambda: root() or "", 30)


def root() -> str:
    """The certificate that all others of this authority lead to; it is new at each start."""
    return run(["docker", "exec", NAME, "curl", "-sk", "https://127.0.0.1:15000/roots/0"], check=False).stdout


def introduce(one: Node) -> None:
    """Have a node ask this authority, as a user would do for one of his own."""
    one.inside(["mkdir", "-p", "/var/lib/cluster/proxy/caddy"])
    run(["docker", "cp", _FOLDER / "cert.pem", f"{one.container}:{ROOT}"])
    one.inside(["sh", "-c", f"printf 'ACME_CA={DIRECTORY}\\nACME_CA_ROOT={ROOT}\\n' >> /cluster/.env"])
