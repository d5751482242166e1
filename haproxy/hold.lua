-- Requests and TLS connections of an app that is switched wait here, at the proxy, until its mark in the map is gone.
-- Called by the actions lua.hold (HTTP) and lua.hold_tls (TLS, by its SNI). The map is changed through the runtime API; a mark is the second
-- at which the hold began, so that it ends for all at the same time. Whoever is still held then is late, and gets the maintenance page.
local file = os.getenv("HOLD_MAP") or "/var/lib/cluster/proxy/haproxy/hold.map"
local deadline = tonumber(os.getenv("HOLD_SECONDS") or "30")
local marks = Map.new(file, Map._str)

-- Seconds of the time of day, in which marks are; core.now() goes on from the time at which this worker started, whatever is set later.
-- It only bounds how long one request waits, as the time of day may be set back meanwhile.
local function within(began, seconds, came)
  return os.time() < began + seconds and core.now().sec <= came + seconds
end

local function late(host)
  local came, began = core.now().sec, host and tonumber(marks:lookup(host) or "")
  while began and within(began, deadline, came) do
    core.msleep(20)
    began = tonumber(marks:lookup(host) or "")
  end
  return began ~= nil
end

-- Called by lua.pause, for what goes to this node's own Caddy: waits while Caddy gets a new configuration. The mark is when that began.
local function pause()
  local came, began = core.now().sec, tonumber(marks:lookup("*") or "")
  while began and within(began, 5, came) do
    core.msleep(5)
    began = tonumber(marks:lookup("*") or "")
  end
end

core.register_action("pause", { "http-req", "tcp-req" }, pause)

core.register_action("hold", { "http-req" }, function(txn)
  if late(txn:get_var("txn.host")) then txn:set_var("txn.late", true) end
end)

core.register_action("hold_tls", { "tcp-req" }, function(txn)
  if late(txn:get_var("sess.sni")) then txn:set_var("sess.late", true) end
end)
