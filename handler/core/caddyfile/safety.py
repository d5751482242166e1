"""What no app's site may do, whichever form it was written in: reach into Caddy's container, or into other apps. Pure.

Looked for in the finished Caddy 2 directives, at every depth.
"""

from __future__ import annotations

import re

from handler.core.caddyfile import files
from handler.core.caddyfile.syntax import CaddyfileError, Directive, Translated
from handler.core.caddyfile.table import REFUSED

_NOWHERE = ("import", "templates", "fs")
"""Refused inside other directives, too."""
_SOCKET = re.compile(r"^(unix|fd)[a-z0-9+]*:?/")
"""Caddy's networks that are no network: https://caddyserver.com/docs/conventions#network-addresses."""
_UPSTREAMS = frozenset({"reverse_proxy", "forward_auth", "php_fastcgi", "to", "dynamic"})
_OUTPUTS = ("stdout", "stderr", "discard")


def check(directives: Translated, *, in_fastcgi: bool = False) -> None:
    """Raise :class:`CaddyfileError` for the first line that is not allowed."""
    for directive in directives:
        _one(directive, in_fastcgi=in_fastcgi)
        check(directive.body or (), in_fastcgi=in_fastcgi or directive.name == "php_fastcgi" or directive.args[:1] == ("fastcgi",))


def _one(directive: Directive, *, in_fastcgi: bool) -> None:
    name, args = directive.name, directive.args
    if name in _NOWHERE:
        raise CaddyfileError(directive.line, f"{name} is not allowed: {REFUSED[name]}")
    roots = args[-1:] if name == "root" else args[1:] if name == "vars" and "root" in args else ()
    if not in_fastcgi and any("{" in folder or not files.allowed(folder) for folder in roots):
        raise CaddyfileError(directive.line, f"{name} is only allowed in {files.SRV}: Caddy reaches no other files")
    if name in _UPSTREAMS and any("{" in arg or _SOCKET.match(arg) for arg in args):
        raise CaddyfileError(directive.line, f"{name}: an upstream has to be host:port")
    if name == "output" and args[:1] not in tuple((output,) for output in _OUTPUTS):
        raise CaddyfileError(directive.line, f"log: output has to be {', '.join(_OUTPUTS)}")
    if name == "tls" and any(arg.startswith("/") for arg in args):
        raise CaddyfileError(directive.line, "tls: files of the node are not reachable for an app")
