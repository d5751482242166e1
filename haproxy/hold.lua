-- Requests and TLS connections of an app that is switched wait here, at the proxy, until its mark in the map is gone.
-- Called by the actions lua.hold (HTTP) and lua.hold_tls (TLS, by its SNI). The map is changed through the runtime API.
local file = os.getenv("HOLD_MAP") or "/var/lib/cluster/proxy/haproxy/hold.map"
local deadline = tonumber(os.getenv("HOLD_SECONDS") or "30")
local marks = Map.new(file, Map._str)

local function wait(host)
  local waited = 0
  while host and marks:lookup(host) == "hold" do
    if waited >= deadline * 1000 then return false end
    core.msleep(20)
    waited = waited + 20
  end
  return true
end

core.register_action("hold", { "http-req" }, function(txn)
  if not wait(txn:get_var("txn.host")) then txn:set_var("txn.late", true) end
end)

core.register_action("hold_tls", { "tcp-req" }, function(txn)
  if not wait(txn:get_var("sess.sni")) then txn:set_var("sess.late", true) end
end)
