# consul-template: KV -> staging files. `handler proxies` checks them and brings them in; it never fails, and a template that
# cannot be rendered keeps its last file: one bad value must not stop the others.
consul {
  address = "127.0.0.1:8500"
  retry {
    attempts    = 0 # Consul may be away for as long as it likes
    backoff     = "250ms"
    max_backoff = "5s"
  }
}
template_error_fatal = false
# no `wait`: each template would be rendered twice for a change
template {
  source          = "/etc/cluster/templates/hold.map.ctmpl"
  destination     = "/var/lib/cluster/proxy/staging/hold.map"
  command         = ["handler", "proxies", "maps"]
  command_timeout = "60s"
  error_fatal     = false
}
template {
  source          = "/etc/cluster/templates/domains.map.ctmpl"
  destination     = "/var/lib/cluster/proxy/staging/domains.map"
  command         = ["handler", "proxies", "maps"]
  command_timeout = "60s"
  error_fatal     = false
}
template {
  source          = "/etc/cluster/templates/haproxy.cfg.ctmpl"
  destination     = "/var/lib/cluster/proxy/staging/haproxy.cfg"
  command         = ["handler", "proxies", "haproxy"]
  command_timeout = "60s"
  error_fatal     = false
}
template {
  source          = "/etc/cluster/templates/Caddyfile.ctmpl"
  destination     = "/var/lib/cluster/proxy/staging/Caddyfile"
  command         = ["handler", "proxies", "caddy"]
  command_timeout = "120s"
  error_fatal     = false
}
