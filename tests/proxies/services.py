"""Small services for tests of proxies: an HTTP echo, and a FastCGI responder that says which script was asked for."""

import http.server
import json
import socketserver
import struct
import threading


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with what it was asked, as JSON."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        wanted = ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Real-IP", "X-Seen", "X-Gone", "X-User")
        found = {"name": self.server.name, "path": self.path, **{name: self.headers.get(name) for name in wanted}}
        text = (json.dumps(found) + " " * 600).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Echo", "theirs")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_POST = do_OPTIONS = do_PUT = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


class Server(http.server.ThreadingHTTPServer):
    """Says nothing when somebody hangs up, as Caddy's health checks do."""

    def handle_error(self, *_: object) -> None:
        pass


def echo(name: str) -> Server:
    server = Server(("127.0.0.1", 0), Echo)
    server.name = name
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


class FastCgi(socketserver.StreamRequestHandler):
    """One request: https://fastcgi-archives.github.io/FastCGI_Specification.html."""

    def handle(self) -> None:
        parameters = b""
        while True:
            header = self.rfile.read(8)
            if len(header) < 8:
                return
            _, kind, request, length, padding, _ = struct.unpack("!BBHHBB", header)
            content = self.rfile.read(length)
            self.rfile.read(padding)
            if kind == 4:
                parameters += content
            if kind == 5 and not content:
                break
        found = _pairs(parameters)
        said = " ".join(f"{name}={found.get(name, '')}" for name in ("SCRIPT_FILENAME", "QUERY_STRING", "WHO"))
        for kind, content in ((6, f"Content-Type: text/plain\r\n\r\n{said}".encode()), (6, b""), (3, b"\0" * 8)):
            self.wfile.write(struct.pack("!BBHHBB", 1, kind, request, len(content), 0, 0) + content)


def _pairs(data: bytes) -> dict[str, str]:
    found, position = {}, 0
    while position < len(data):
        sizes = []
        for _ in range(2):
            if data[position] & 0x80:
                sizes.append(struct.unpack("!I", data[position : position + 4])[0] & 0x7FFFFFFF)
                position += 4
            else:
                sizes.append(data[position])
                position += 1
        name = data[position : position + sizes[0]].decode()
        found[name] = data[position + sizes[0] : position + sum(sizes)].decode()
        position += sum(sizes)
    return found


def fastcgi() -> socketserver.ThreadingTCPServer:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), FastCgi)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
