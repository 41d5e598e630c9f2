-- Shared by all scripts. KEYS[1] is the prefix of this bucket's keys; everything else is in ARGV. In a
-- Redis Cluster there is a KEYS[2], and channels belong to slots as keys do; see ScriptKeys in
-- internal/redis.
-- ARGV begins with the time, in ms of Redis's clock, after which the caller of the step no longer waits
-- (0: none). A server that was stopped and has been replaced would otherwise carry it out when it goes
-- on, and publish a change that comes after later ones.
-- Times are in ms of the nodes' clocks, versions in µs of Redis's clock, so that a Redis that has
-- lost its data continues with higher versions than before.
--
-- user:ID (hash)      an account: p presence, a since when, c custom status, ca since when,
--                     s version, k version since which it has had this content (lower than s if a
--                     node wrote it again), b version with which Redis first saw it, n number of
--                     devices, l the last moment reserved for a login, r version of the last
--                     revocation, app, x external ID; d:DEVICE a device, "NODE PLATFORM SINCE
--                     ADDED"; g:DEVICE a device that was disconnected, "REASON VERSION"; g version
--                     up to which all devices were disconnected, gw for which reason; kc, kca the
--                     custom status that the account last lost by going OFFLINE, kv with which
--                     version; e 1 if the user has been deleted
-- node:NODE (set)     accounts with devices at the node; NODE is the identity of a process, a dot and
--                     a number
-- nodes (sorted set)  nodes by the end of their leases; dead (set) nodes that must be swept
-- online:APP (set)    users that are ONLINE; changes:APP (sorted set) changed users by version
-- seq                 the latest version
-- born                when nodes last saw that this is no longer the earlier data; see renew.lua
-- server              the replication ID of the server that last had this data
local P = KEYS[1]
local PUBLISH = KEYS[2] and 'SPUBLISH' or 'PUBLISH'
local UNLOGINED, OFFLINE, ONLINE = 0, 1, 2
-- KEEP is how many seconds an account without devices, a change and a disconnected device are
-- remembered.
local KEEP = 3600
-- KEEP_DELETED is how many seconds the account of a deleted user, with its external ID, is
-- remembered. Nodes that miss the deletion find it in the database before they write the user's
-- devices again; see verify in repair.go.
local KEEP_DELETED = 60
-- CUTS is the maximum number of disconnected devices of an account that are remembered.
local CUTS = 100

local function int(n) return string.format('%.0f', n) end

local time = redis.call('TIME')
local function micros() return tonumber(time[1]) * 1000000 + tonumber(time[2]) end

local deadline = tonumber(table.remove(ARGV, 1))
if deadline > 0 and micros() / 1000 > deadline then
  return redis.error_reply('LATE the step came after its caller had given up')
end

local function version()
  local v = math.max(micros(), tonumber(redis.call('GET', P .. 'seq') or 0) + 1)
  redis.call('SET', P .. 'seq', int(v))
  return v
end

local NUMBERS = { 'p', 'a', 'ca', 's', 'k', 'b', 'n', 'l', 'r', 'g', 'kca', 'kv', 'e' }
local TEXTS = { 'c', 'gw', 'kc' }

-- read returns the account's fields, or nil if it is unknown, and its devices. u.cuts are its
-- disconnected devices.
local function read(id)
  local flat = redis.call('HGETALL', P .. 'user:' .. id)
  if #flat == 0 then return nil, {} end
  local u, devices = { id = id, cuts = {} }, {}
  for i = 1, #flat, 2 do
    local name = flat[i]
    local kind = string.sub(name, 1, 2)
    if kind == 'd:' then
      devices[string.sub(name, 3)] = flat[i + 1]
    elseif kind == 'g:' then
      u.cuts[string.sub(name, 3)] = flat[i + 1]
    else
      u[name] = flat[i + 1]
    end
  end
  for _, name in ipairs(NUMBERS) do u[name] = tonumber(u[name] or 0) end
  for _, name in ipairs(TEXTS) do u[name] = u[name] or '' end
  return u, devices
end

-- new returns an account that Redis sees for the first time.
local function new(id, p, a)
  local u = { id = id, cuts = {} }
  for _, name in ipairs(NUMBERS) do u[name] = 0 end
  for _, name in ipairs(TEXTS) do u[name] = '' end
  u.p, u.a, u.b = tonumber(p), tonumber(a), version()
  return u
end

-- open is like read, but creates an unknown account from the database's row. If the row has a newer
-- presence than an account without devices, Redis's data was rolled back, and the row takes
-- precedence.
local function open(id, app, external, p, a)
  local u, devices = read(id)
  p, a = tonumber(p), tonumber(a)
  u = u or new(id, p, a)
  u.app, u.x = app, external
  if u.n == 0 and u.p ~= ONLINE and a > u.a and a > u.l then u.p, u.a = p, a end
  return u, devices
end

-- text is the form in which nodes receive the account.
local function text(u)
  return table.concat({ int(u.s), int(u.k), u.p, int(u.a), int(u.ca), u.id, u.app, u.x, u.c }, ' ')
end

local function versionIn(value) return tonumber(string.match(value, '%S+$')) end

local function write(u)
  local key = P .. 'user:' .. u.id
  redis.call('HSET', key, 'p', u.p, 'a', int(u.a), 'c', u.c, 'ca', int(u.ca), 's', int(u.s), 'k', int(u.k),
    'b', int(u.b), 'n', u.n, 'l', int(u.l), 'r', int(u.r), 'app', u.app, 'x', u.x)
  if u.e > 0 then redis.call('HSET', key, 'e', u.e) end
  if u.g > 0 then redis.call('HSET', key, 'g', int(u.g), 'gw', u.gw) end
  if u.kv > 0 then redis.call('HSET', key, 'kc', u.kc, 'kca', int(u.kca), 'kv', int(u.kv)) end
  local oldest = micros() - KEEP * 1000000
  local kept = {}
  for device, value in pairs(u.cuts) do
    if versionIn(value) < oldest then
      redis.call('HDEL', key, 'g:' .. device)
    else
      kept[#kept + 1] = device
    end
  end
  if #kept > CUTS then
    table.sort(kept, function(a, b) return versionIn(u.cuts[a]) < versionIn(u.cuts[b]) end)
    for i = 1, #kept - CUTS / 2 do redis.call('HDEL', key, 'g:' .. kept[i]) end
  end
  if u.n > 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, u.e > 0 and KEEP_DELETED or KEEP) end
end

-- tell writes the account and publishes it to its watchers.
local function tell(u)
  write(u)
  if u.p == ONLINE then
    redis.call('SADD', P .. 'online:' .. u.app, u.id)
  else
    redis.call('SREM', P .. 'online:' .. u.app, u.id)
  end
  local changes = P .. 'changes:' .. u.app
  redis.call('ZADD', changes, int(u.s), u.id)
  redis.call('ZREMRANGEBYSCORE', changes, '-inf', int(u.s - KEEP * 1000000))
  redis.call('EXPIRE', changes, KEEP)
  local message = text(u)
  redis.call(PUBLISH, P .. 'user:' .. u.id, message)
  redis.call(PUBLISH, P .. 'app:' .. u.app, message)
end

-- after returns now, or a later time if the account already has one that is not earlier.
local function after(u, now) return math.max(tonumber(now), u.a + 1, u.ca + 1, u.l + 1) end

-- change gives the account's new content a version and publishes it.
local function change(u)
  u.s = version()
  u.k = u.s
  tell(u)
end

-- turn gives the account another presence and reports whether that is a change.
local function turn(u, to, at)
  if u.p == to or (to == OFFLINE and u.p ~= ONLINE) then return false end
  if u.p == ONLINE and u.ca > 0 then u.kc, u.kca, u.kv = u.c, u.ca, version() end
  u.p, u.a, u.c, u.ca = to, at, '', 0
  change(u)
  return true
end

-- forget drops the custom status that restoring a device would bring back.
local function forget(u)
  if u.kv == 0 then return end
  u.kc, u.kca, u.kv = '', 0, 0
  redis.call('HDEL', P .. 'user:' .. u.id, 'kc', 'kca', 'kv')
end

-- add writes a device that was added with the version added.
local function add(u, node, device, value, added)
  local field = node .. ' ' .. value .. ' ' .. int(added)
  if redis.call('HSET', P .. 'user:' .. u.id, 'd:' .. device, field) == 1 then u.n = u.n + 1 end
  redis.call('SADD', P .. 'node:' .. node, u.id)
end

local function nodeOf(value) return string.match(value, '^%S+') end

-- remove deletes a device, and its node's entry if it was the account's last one there.
local function remove(u, devices, device)
  local node = nodeOf(devices[device])
  redis.call('HDEL', P .. 'user:' .. u.id, 'd:' .. device)
  u.n = math.max(u.n - 1, 0)
  devices[device] = nil
  for _, value in pairs(devices) do
    if nodeOf(value) == node then return end
  end
  redis.call('SREM', P .. 'node:' .. node, u.id)
end

-- tellCut notifies nodes that devices of the account, of which values are the values, have been taken
-- out: those that have them, or all nodes if the user's access was revoked. Nodes of an earlier version,
-- whose names have no identity, receive what all receive.
local function tellCut(u, reason, revoked, values)
  local channels = {}
  if revoked then channels[P .. 'cut'] = {} end
  for device, value in pairs(values) do
    local identity = not revoked and string.match(nodeOf(value), '^([^.]+)%.')
    local channel = P .. (identity and 'cut:' .. identity or 'cut')
    channels[channel] = channels[channel] or {}
    table.insert(channels[channel], device)
  end
  for channel, devices in pairs(channels) do
    redis.call(PUBLISH, channel, table.concat({ u.id, reason, revoked and '1' or '0', table.concat(devices, ' ') }, ' '))
  end
end

-- holds returns the end of the node's lease, or false if it has none.
local function holds(node) return redis.call('ZSCORE', P .. 'nodes', node) end
