"""The seed's examples of HAPROXY give the results that its README shows, whitespace aside (and its last one's stray quote)."""

from test_haproxy import HTTP, SSH

from handler.core import haproxy
from handler.core.haproxy_render import LOOP_GUARD, Place, rules, sections

SWARM = {
    "ssh-config-name": {
        "frontend": {"mode": "tcp", "bind": ["*:2222"], "options": ["option socket-stats", "option tcplog"]},
        "backends": [
            {
                "name": "ssh-service",
                "server_option": "resolvers dns check inter 3s",
                "port": "22",
                "peer_port": "2222",
                "ct": "test",
                "options": ["option tcp-check"],
            }
        ],
    }
}
HERE = Place("node1", "10.10.20.1", here=True)
THERE = Place("node1", "10.10.20.1", here=False)


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]


def merged(value: dict) -> dict:
    return haproxy.merge([("sshservice_container_name", haproxy.check(value))])


def test_the_first_example() -> None:
    assert lines(sections(merged(SSH), HERE)) == lines("""
        frontend front-ssh-config-name
            mode tcp
            bind *:2222
            use_backend backend-ssh-service

        backend backend-ssh-service
            mode tcp
            server node1 sshservice_container_name:22
    """)


def test_the_second_example() -> None:
    value = haproxy.merge([("ct", haproxy.parse(HTTP))])
    assert rules(value, HERE) == {"http-in": ["use_backend backend-another.example.com if { hdr(host) -i another.example.com }"]}
    assert lines(sections(value, HERE)) == lines("""
        backend backend-another.example.com
            mode http
            server node1 ct:80

        frontend front-ssh-config-name
            mode tcp
            test
            test2
            bind *:2222
            use_backend backend-ssh-service-wordpress2

        backend backend-ssh-service-wordpress2
            mode tcp
            server node1 ct:22 send_proxy
    """)


def test_the_swarm_example() -> None:
    assert lines(sections(haproxy.check(SWARM), Place(swarm=True))) == lines("""
        frontend swarm-front-ssh-config-name
            mode tcp
            option socket-stats
            option tcplog
            bind *:2222
            use_backend swarm-backend-ssh-service

        backend swarm-backend-ssh-service
            mode tcp
            option tcp-check
            server swarm_service test:22 resolvers dns check inter 3s
    """)


def test_other_nodes_send_to_the_peer_port_of_the_master() -> None:
    text = lines(sections(merged(SSH), THERE))
    assert "server node1 10.10.20.1:2222" in text
    assert LOOP_GUARD in text
    assert LOOP_GUARD not in sections(merged(SSH), HERE)


def test_two_services_share_a_frontend() -> None:
    other = {
        "ssh-config-name": {
            **SSH["ssh-config-name"],
            "backends": [{"name": "second", "port": 23, "peer_port": 2222, "use_backend_option": "if x"}],
        }
    }
    text = lines(sections(haproxy.merge([("a", haproxy.check(SSH)), ("b", haproxy.check(other))]), HERE))
    assert text.count("frontend front-ssh-config-name") == 1
    assert text.count("bind *:2222") == 1
    assert "use_backend backend-second if x" in text
    assert "server node1 b:23" in text
