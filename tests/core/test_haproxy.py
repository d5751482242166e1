import json

import pytest

from handler.core import haproxy
from handler.core.haproxy import HaproxyError

SSH = {
    "ssh-config-name": {
        "frontend": {"mode": "tcp", "bind": ["*:2222"]},
        "backends": [{"name": "ssh-service", "use_backend_option": "", "port": "22", "peer_port": "2222"}],
    }
}
HTTP = """
http-in:
  backends:
    - name: another.example.com
      use_backend_option: "if { hdr(host) -i another.example.com }"
      port: 80
      peer_port: 80
ssh-config-name:
  frontend:
    mode: tcp
    bind:
      - "*:2222"
    options:
      - "test"
      - "test2"
  backends:
    - name: ssh-service-wordpress2
      port: 22
      peer_port: 2222
      server_option: send_proxy
"""


def test_the_seed_s_examples_are_understood() -> None:
    one, two = haproxy.parse(json.dumps(SSH)), haproxy.parse(HTTP)
    assert one["ssh-config-name"]["backends"][0]["port"] == "22"
    assert two["ssh-config-name"]["frontend"]["options"] == ["test", "test2"]
    assert haproxy.domains(haproxy.merge([("ct", two)])) == ("another.example.com",)
    assert haproxy.frontends(two) == ("ssh-config-name",)


def test_services_of_one_app_share_a_frontend() -> None:
    merged = haproxy.merge([("a-1", haproxy.parse(json.dumps(SSH))), ("b-1", haproxy.parse(HTTP))])
    assert [b["ct"] for b in merged["ssh-config-name"]["backends"]] == ["a-1", "b-1"]
    assert merged["ssh-config-name"]["frontend"]["bind"] == ["*:2222"]


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (("frontend", "mode"), "health", "mode"),
        (("frontend", "bind"), ["*:2222\n  stats enable"], "one line"),
        (("frontend", "bind"), "x", "list"),
        (("frontend", "bind"), ["10.1.2.3:2222"], "bind must be"),
        (("frontend", "bind"), ["*:443"], "port 443, which the nodes need"),
        (("frontend", "options"), ["backend evil"], "cannot be there"),
        (("frontend", "options"), ['"backend" evil'], "cannot be there"),
        (("frontend", "options"), ["\\x62ackend evil"], "cannot be there"),
        (("frontend", "options"), ["b'i'nd *:443"], "cannot be there"),
        (("frontend", "colour"), 1, "unknown key colour"),
        (("frontend", "options"), ["a " * 70], "words"),
        (("backends",), [], "backends"),
        (("backends",), [{"name": "x y", "port": 1, "peer_port": 1}], "usable name"),
        (("backends",), [{"name": "x\n", "port": 1, "peer_port": 1}], "usable name"),
        (("backends",), [{"name": "x", "port": 99999, "peer_port": 1}], "port"),
        (("backends",), [{"name": "x", "port": 1, "peer_port": 1, "what": 2}], "unknown key what"),
    ],
)
def test_bad_values_are_named(path, value, reason) -> None:
    broken = json.loads(json.dumps(SSH))
    into = broken["ssh-config-name"]
    for key in path[:-1]:
        into = into[key]
    into[path[-1]] = value
    with pytest.raises(HaproxyError, match=reason):
        haproxy.parse(json.dumps(broken))


@pytest.mark.parametrize("text", ["[", "3", "[]", "{a: 1}", "!!python/object/apply:os.system ['x']"])
def test_what_is_no_object_of_frontends_is_refused(text: str) -> None:
    with pytest.raises(HaproxyError):
        haproxy.parse(text)
