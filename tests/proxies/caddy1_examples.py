"""What users of Caddy 1's form write, and how the site must answer: docs/caddyfile.rst, as requests.

``A``, ``B`` and ``F`` stand for an echo service, another one, and a FastCGI service; an echo answers with what it was asked.
"""

from dataclasses import dataclass, field

SECRET = {"Authorization": "Basic YWxpY2U6c2VjcmV0"}  # alice:secret


@dataclass(frozen=True)
class Ask:
    """A request, and what must be in its answer."""

    path: str = "/"
    status: int = 200
    text: str = ""
    headers: dict = field(default_factory=dict)
    """Of the answer; None for one that must not be there."""
    send: dict = field(default_factory=dict)
    method: str = "GET"
    body: int = 0
    tls: bool = False


EXAMPLES: dict[str, tuple[str, list[Ask]]] = {
    "the seed's WordPress": ("proxy / http://A", [Ask("/x?y=1", text='"path": "/x?y=1"'), Ask(text='"Host": "SITE"')]),
    "client address, scheme, host": (
        "proxy / A",
        [
            Ask(text='"X-Forwarded-For": "127.0.0.1"'),
            Ask(text='"X-Forwarded-Proto": "http"'),
            Ask(text='"X-Forwarded-Host": "SITE"'),
            Ask(text='"X-Forwarded-For": "127.0.0.1"', send={"X-Forwarded-For": "6.6.6.6"}),
        ],
    ),
    "several proxies, the longest path counts": (
        "proxy / A\nproxy /api B\nproxy /api/v2 A",
        [
            Ask("/", text='"name": "A"'),
            Ask("/api/x", text='"name": "B"'),
            Ask("/API", text='"name": "B"'),
            Ask("/api/v2/x", text='"name": "A"'),
        ],
    ),
    "without and except": (
        "proxy /api A {\n without /api\n except /static /pub\n}\nproxy / B",
        [Ask("/api/x?y", text='"path": "/x?y"'), Ask("/api/static/x", text='"name": "B"'), Ask("/api/pub", text='"name": "B"')],
    ),
    "a path in the upstream": ("proxy / http://A/base", [Ask("/x?y", text='"path": "/base/x?y"')]),
    "several upstreams": (
        "proxy / A {\n upstream B\n policy round_robin\n fail_timeout 5s\n max_fails 2\n try_duration 2s\n}",
        [Ask(), Ask()],
    ),
    "an upstream that is down": (
        "proxy / 127.0.0.1:1 A {\n policy first\n fail_timeout 10s\n try_duration 3s\n}",
        [Ask(text='"name": "A"')],
    ),
    "headers to the service": (
        "proxy / A {\n transparent\n websocket\n header_upstream X-Seen {host}:{remote}:{scheme}:{>X-In}\n header_upstream -X-Gone\n}",
        [
            Ask(text='"X-Real-IP": "127.0.0.1"'),
            Ask(text='"X-Seen": "SITE:127.0.0.1:http:yes"', send={"X-In": "yes"}),
            Ask(text='"X-Gone": null', send={"X-Gone": "1"}),
        ],
    ),
    "headers from the service": (
        "proxy / A {\n header_downstream -X-Echo\n header_downstream X-New {uri}\n}",
        [Ask("/p?q", headers={"X-Echo": None, "X-New": "/p?q"})],
    ),
    "proxy: the rest": (
        (
            "proxy / A {\n keepalive 5\n timeout 2s\n max_conns 10\n health_check /h\n health_check_interval 5s\n health_check_timeout 1s\n"
            " health_check_contains path\n try_interval 100ms\n try_duration 3s\n fallback_delay 300ms\n}"
        ),
        [Ask(text='"name": "A"')],
    ),
    "redir to": ("redir https://other.example.com{uri}", [Ask("/a?b", 301, headers={"Location": "https://other.example.com/a?b"})]),
    "redir with code": ("redir / https://o.example.com 302", [Ask("/x", 302, headers={"Location": "https://o.example.com"})]),
    "redir of one path": ("redir /old /new 307\nproxy / A", [Ask("/old", 307, headers={"Location": "/new"}), Ask("/old/x")]),
    "redir block": (
        "redir 308 {\n /a /b\n /c /d 303\n}\nproxy / A",
        [Ask("/a", 308, headers={"Location": "/b"}), Ask("/c", 303, headers={"Location": "/d"}), Ask("/x")],
    ),
    "redir meta": (
        "redir /m https://o.example.com meta\nproxy / A",
        [Ask("/m", 200, text="https://o.example.com"), Ask("/x", text="path")],
    ),
    "redir if": (
        "redir {\n if {path} starts_with /blog\n if {>X-No} not yes\n / https://blog.example.com{uri}\n}\nproxy / A",
        [
            Ask("/blog/x", 301, headers={"Location": "https://blog.example.com/blog/x"}),
            Ask("/blog/x", send={"X-No": "yes"}),
            Ask("/other"),
        ],
    ),
    "redir if or": (
        "redir {\n if {path} match ^/v[0-9]+$\n if {?go} is now\n if_op or\n / /new 302\n}\nproxy / A",
        [Ask("/v12", 302), Ask("/x?go=now", 302), Ask("/x?go=later"), Ask("/v1x")],
    ),
    "if conditions": (
        (
            "redir {\n if {path} has mid\n if {path} not_has bad\n if {path} ends_with .php\n if {path} not_ends_with x.php\n if {path} not_match z$\n"
            " / /ok 302\n}\nproxy / A"
        ),
        [Ask("/mid.php", 302), Ask("/mid.txt"), Ask("/badmid.php"), Ask("/midx.php")],
    ),
    "rewrite simple": (
        "rewrite ^/old/(.*) /new/{1}?from=old\nproxy / A",
        [Ask("/old/a", text='"path": "/new/a?from=old"'), Ask("/x", text='"path": "/x"')],
    ),
    "rewrite not": (
        "rewrite not ^/(static|api) /index.php\nproxy / A",
        [Ask("/a", text='"/index.php"'), Ask("/static/a", text='"/static/a"')],
    ),
    "rewrite block": (
        "rewrite /base {\n regexp (.*)/end$\n to /done{1}\n}\nrewrite {\n if {path} is /x\n to /y\n}\nproxy / A",
        [Ask("/base/m/end?q=1", text='"path": "/done/m?q=1"'), Ask("/x", text='"path": "/y"'), Ask("/base/z", text='"path": "/base/z"')],
    ),
    "rewrite ext": (
        "rewrite {\n ext .html !.php\n to /page?was={path}\n}\nproxy / A",
        [Ask("/a.html", text='"path": "/page?was=%2Fa.html"'), Ask("/a.php", text='"/a.php"'), Ask("/a.txt", text='"/a.txt"')],
    ),
    "rewrite to files": (
        "root SRV\nrewrite {\n to {path} {path}/ /index.txt\n}",
        [Ask("/hello.txt", text="hello file"), Ask("/no/such", text="index file")],
    ),
    "first rewrite counts": ("rewrite ^/a$ /b\nrewrite ^/b$ /c\nproxy / A", [Ask("/a", text='"path": "/b"')]),
    "header": (
        "header / X-One first\nheader /api {\n X-Two {host}\n +X-Echo more\n -Server\n}\nproxy / A",
        [Ask("/", headers={"X-One": "first", "X-Two": None}), Ask("/api/x", headers={"X-One": "first", "X-Two": "SITE", "Server": None})],
    ),
    "header over the service's": ("header / X-Echo ours\nproxy / A", [Ask(headers={"X-Echo": "ours"})]),
    "basicauth": (
        "basicauth /admin alice secret\nproxy / A",
        [
            Ask("/open"),
            Ask("/admin/x", 401, headers={"WWW-Authenticate": 'Basic realm="Restricted"'}),
            Ask("/admin/x", send=SECRET),
            Ask("/admin", 401, send={"Authorization": "Basic YWxpY2U6d3Jvbmc="}),
            Ask("/admin", method="OPTIONS"),
        ],
    ),
    "basicauth block": (
        "basicauth bob hidden {\n realm Club\n /club\n /club/vip\n}\nbasicauth /club/vip alice secret\nproxy / A {\n header_upstream X-User {user}\n}",
        [
            Ask("/club", 401, headers={"WWW-Authenticate": 'Basic realm="Club"'}),
            Ask("/club", 401, send=SECRET),
            Ask("/club/vip", text='"X-User": "alice"', send=SECRET),
        ],
    ),
    "gzip": (
        "gzip {\n level 9\n min_length 1\n not /plain\n}\nproxy / A",
        [
            Ask(headers={"Content-Encoding": "gzip"}, send={"Accept-Encoding": "gzip"}),
            Ask("/plain", headers={"Content-Encoding": None}, send={"Accept-Encoding": "gzip"}),
        ],
    ),
    "compression by default": ("proxy / A", [Ask(headers={"Content-Encoding": "gzip"}, send={"Accept-Encoding": "gzip"})]),
    "root and index": ("root SRV\nindex hello.txt", [Ask("/", text="hello file"), Ask("/hello.txt", text="hello file"), Ask("/none", 404)]),
    "browse": ("root SRV\nbrowse /sub", [Ask("/sub/", text="inner.txt"), Ask("/none/", 404)]),
    "ext": ("root SRV\next .html .txt", [Ask("/hello", text="hello file"), Ask("/nothing", 404)]),
    "mime": (
        "mime .txt text/x-own\nproxy / A",
        [Ask("/a.txt", headers={"Content-Type": "text/x-own"}), Ask("/a", headers={"Content-Type": "application/json"})],
    ),
    "errors": (
        "root SRV\nerrors error.log {\n 404 sub/inner.txt\n * hello.txt\n}\nproxy /down 127.0.0.1:1",
        [Ask("/none", 404, "inner file"), Ask("/down", 502, "hello file")],
    ),
    "limits": (
        "limits {\n body 1KB\n body /upload 1MB\n}\nproxy / A",
        [Ask("/x", 413, method="POST", body=2000), Ask("/x", method="POST", body=500), Ask("/upload", method="POST", body=2000)],
    ),
    "limits for all": ("limits 1KB\nproxy / A", [Ask("/x", 413, method="POST", body=2000)]),
    "status": (
        "status 404 /secret\nstatus 403 {\n /secret/more\n /b\n}\nstatus 204 /quiet\nproxy / A",
        [Ask("/secret/x", 404), Ask("/secret/more", 403), Ask("/b", 403), Ask("/quiet", 204), Ask("/x")],
    ),
    "internal": ("internal /hidden\nproxy / A", [Ask("/hidden/x", 404), Ask("/x")]),
    "fastcgi": (
        "fastcgi / F php {\n root /var/www\n env WHO me\n except /static\n}\nproxy /static A",
        [
            Ask("/a.php?x=1", text="SCRIPT_FILENAME=/var/www/a.php QUERY_STRING=x=1 WHO=me"),
            Ask("/", text="SCRIPT_FILENAME=/var/www/index.php"),
            Ask("/static/x", text='"name": "A"'),
        ],
    ),
    "fastcgi with rewriting": (
        "fastcgi / F php {\n root /var/www\n}\nrewrite {\n if {path} not_match \\.php$\n to {path} {path}/ /index.php?q={uri}\n}",
        [Ask("/page", text="SCRIPT_FILENAME=/var/www/index.php QUERY_STRING=q=%2Fpage"), Ask("/b.php", text="/var/www/b.php")],
    ),
    "log and timeouts": ('log / stdout "{remote} {status} {latency}"\ntimeouts none\nrequest_id\nproxy / A', [Ask()]),
    "the app is down": ("proxy / 127.0.0.1:1", [Ask(status=503, text="Back in a moment", headers={"Retry-After": "5"})]),
    "tls self_signed": ("tls self_signed\nproxy / A", [Ask(text='"X-Forwarded-Proto": "https"', tls=True)]),
    "tls with protocols": ("tls self_signed {\n protocols tls1.2 tls1.3\n}\nproxy / A", [Ask(tls=True)]),
}
