"""Caddy 1's form on a real Caddy 2: every example answers as docs/caddyfile.rst says."""

import http.client
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from caddy1_examples import EXAMPLES, Ask
from programs import free_port, need
from services import echo, fastcgi

from clusterlab.run import PROJECT, wait_until
from handler.adapters.proxies import hash_password
from handler.core import caddyfile
from handler.core.caddyfile import common, files, table

pytestmark = pytest.mark.component


class Running:
    """One Caddy with all examples, each under a host name of its own."""

    def __init__(self, folder: Path, srv: Path) -> None:
        self.http, self.https = free_port(), free_port()
        self.servers = {"A": echo("A"), "B": echo("B"), "F": fastcgi()}
        (srv / "sub").mkdir(parents=True)
        for name, text in (("hello.txt", "hello file"), ("index.txt", "index file"), ("sub/inner.txt", "inner file")):
            (srv / name).write_text(text)
        parts = [f"{{\n\tadmin off\n\tskip_install_trust\n\thttp_port {self.http}\n\thttps_port {self.https}\n}}"]
        snippet, _, _ = common.ROUTES.partition("http://")  # without the ports, which another Caddy on this machine may have
        parts.append(snippet.replace("/etc/cluster/caddy", str(PROJECT / "caddy")))
        self.sites = {}
        for number, (name, (text, asks)) in enumerate(EXAMPLES.items()):
            host = f"e{number}.example.com"
            scheme = "https" if any(ask.tls for ask in asks) else "http"
            self.sites[name] = host
            translated = caddyfile.translate(f"{scheme}://{host} {{\n{self.filled(text, srv)}\n}}", "ct", "app").caddyfile
            parts.append(caddyfile.hashed(translated, hash_password))
        config = folder / "Caddyfile"
        config.write_text("\n".join(parts))
        environment = {**os.environ, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)}
        self.log = (folder / "log").open("w")
        self.program = subprocess.Popen(
            ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)], env=environment, stderr=self.log, stdout=self.log
        )
        wait_until("Caddy", self._answers, 20, 0.05)

    def filled(self, text: str, srv: Path) -> str:
        for name, server in self.servers.items():
            text = re.sub(rf"(?<![\w/]){name}(?![\w])|(?<=//){name}(?![\w])", f"127.0.0.1:{server.server_address[1]}", text)
        return text.replace("SRV", str(srv))

    def _answers(self) -> bool:
        assert self.program.poll() is None, Path(self.log.name).read_text()
        with socket.socket() as sock:
            return sock.connect_ex(("127.0.0.1", self.http)) == 0

    def ask(self, name: str, ask: Ask) -> tuple[int, str, dict]:
        host = self.sites[name]
        sock = socket.create_connection(("127.0.0.1", self.https if ask.tls else self.http), 10)
        if ask.tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            sock = context.wrap_socket(sock, server_hostname=host)
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.sock = sock
        body = b"x" * ask.body if ask.body else None
        connection.request(ask.method, ask.path, body, {"Host": host, **ask.send})
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, text, {key.lower(): value for key, value in answer.getheaders()}

    def stop(self) -> None:
        self.program.terminate()
        self.program.wait(10)
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
        self.log.close()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    need("caddy")
    folder = tmp_path_factory.mktemp("caddy")
    patch = pytest.MonkeyPatch()
    patch.setattr(files, "SRV", str(folder / "srv"))
    caddy = Running(folder, folder / "srv")
    yield caddy
    caddy.stop()
    patch.undo()


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_answers_as_the_table_says(running: Running, name: str) -> None:
    for ask in EXAMPLES[name][1]:
        status, text, headers = running.ask(name, ask)
        assert status == ask.status, (ask, text)
        assert ask.text.replace("SITE", running.sites[name]) in text, ask
        for header, value in ask.headers.items():
            expected = value and value.replace("SITE", running.sites[name])
            assert headers.get(header.lower()) == expected, (ask, headers)


def test_every_directive_has_an_example_and_a_line_in_the_docs() -> None:
    used = {line.split()[0] for text, _ in EXAMPLES.values() for line in text.splitlines() if not line.startswith((" ", "}"))}
    assert used >= {*table.TABLE, *table.SITE, *table.DROPPED}
    docs = (PROJECT / "docs" / "caddyfile.rst").read_text()
    missing = [
        name
        for name in (*table.TABLE, *table.SITE, *table.DROPPED, *table.REFUSED, *caddyfile.placeholders.PLACEHOLDERS)
        if f"{name}" not in docs
    ]
    assert missing == []
