"""What every node's Caddyfile has before the sites of apps: the maintenance page, and where requests wait that HAProxy cannot hold. Pure.

Named routes, one for all sites, since a copy in each triples the time that Caddy needs to load its configuration.
"""

from __future__ import annotations

from handler.core.caddyfile.syntax import Translated, new

MAINTENANCE = "cluster_maintenance"
"""The route that shows the maintenance page."""

AWAY = "cluster_away"
"""The route that leads a request through HAProxy once more, on a connection of its own: held there, it goes where the app is by then.

HAProxy passes TLS on and sees connections, not the requests on one that is open already: those only Caddy can stop.
"""

MARKS = "/run/cluster/caddy/away"
"""Folder of Caddy's container with one file for each app whose requests take :data:`AWAY`; written by :mod:`handler.proxies.away`."""

_HAPROXY = "haproxy.proxies:1445"
_BEEN = "Cluster-Away"
"""Header of what has taken this route: it never takes it twice, so that no request can go in circles."""

PAGE_PORTS = {"http": 81, "https": 444}
"""Where Caddy shows the maintenance page for any host; only HAProxy comes there, with requests that were held for too long."""

_SHOW = f"\terror 503\n\thandle_errors {{\n\t\tinvoke {MAINTENANCE}\n\t}}\n"

ROUTES = f"""&({MAINTENANCE}) {{
	@down vars {{http.error.status_code}} 502 503 504
	handle @down {{
		root * /etc/cluster/caddy
		rewrite * /maintenance.html
		header Retry-After 5
		file_server {{
			status 503
		}}
	}}
}}
&({AWAY}) {{
	@again header {_BEEN} *
	error @again 503
	@ends not header Upgrade *
	header @ends Connection close
	reverse_proxy {_HAPROXY} {{
		header_up Host {{hostport}}
		header_up {_BEEN} yes
		stream_close_delay 1h
		transport http {{
			proxy_protocol v2
			tls_server_name {{host}}
			tls_insecure_skip_verify
			tls_timeout 45s
			versions 1.1
			keepalive off
		}}
	}}
}}
http:// {{
{_SHOW}}}
""" + "".join(f"{scheme}://:{port} {{\n{_SHOW}}}\n" for scheme, port in PAGE_PORTS.items())
"""The routes, and the sites of the page; ``http://`` is for an app whose site is not there yet.

``Connection: close``: the client's next request comes on a new connection, which HAProxy leads to where the app is. The certificate is
not looked at, since it may be of any authority: between two nodes the request is as safe as HTTP is there. 45 s is longer than a hold.
"""


def away(app: str) -> Translated:
    """The lines of an app's site that lead its requests away while there is a mark. HTTP never needs it: HAProxy sees each request.

    They come first in a site by ``order invoke first`` in the global options.
    """
    mark = new("file", body=(new("root", MARKS), new("try_files", f"/{app}")))
    return (new(f"@{AWAY}", body=(new("protocol", "https"), mark)), new("invoke", f"@{AWAY}", AWAY))
