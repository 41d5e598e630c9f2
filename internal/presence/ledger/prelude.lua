-- What all steps share. KEYS[1] is what the names of this service's keys begin
-- with; everything else is ARGV. Times are in ms of the nodes' clocks, versions
-- in µs of Redis's: a Redis that has lost its data goes on above what was before.
--
-- user:ID (hash)      an account: p presence, a since when, c custom status, ca since when, s version,
--                     n number of devices, l the last moment reserved for a login, r version of the
--                     last revocation, app, x external ID; d:DEVICE a device, "NODE PLATFORM SINCE ADDED"
-- node:NODE (set)     accounts with devices at the node
-- nodes (sorted set)  nodes by the end of their leases; dead (set) those to be swept
-- online:APP (set)    who is ONLINE; changes:APP (sorted set) who has changed, by version
-- seq                 the latest version; born when this database was first seen empty
local P = KEYS[1]
local UNLOGINED, OFFLINE, ONLINE = 0, 1, 2
local KEEP = 3600 -- seconds that an account without devices, or a change, is remembered

local function int(n) return string.format('%.0f', n) end

local function micros()
  local t = redis.call('TIME')
  return tonumber(t[1]) * 1000000 + tonumber(t[2])
end

local function version()
  local v = math.max(micros(), tonumber(redis.call('GET', P .. 'seq') or 0) + 1)
  redis.call('SET', P .. 'seq', int(v))
  return v
end

-- read answers the account's fields, nil where it is unknown, and its devices.
local function read(id)
  local flat = redis.call('HGETALL', P .. 'user:' .. id)
  if #flat == 0 then return nil, {} end
  local u, devices = { id = id }, {}
  for i = 1, #flat, 2 do
    local name = flat[i]
    if string.sub(name, 1, 2) == 'd:' then
      devices[string.sub(name, 3)] = flat[i + 1]
    else
      u[name] = flat[i + 1]
    end
  end
  for _, name in ipairs({ 'p', 'a', 'ca', 's', 'n', 'l', 'r' }) do u[name] = tonumber(u[name] or 0) end
  return u, devices
end

-- open is read, with an unknown account made as the database's row has it.
local function open(id, app, external, p, a)
  local u, devices = read(id)
  u = u or { id = id, p = tonumber(p), a = tonumber(a), c = '', ca = 0, s = 0, n = 0, l = 0, r = 0 }
  u.app, u.x = app, external
  return u, devices
end

-- text is the account as nodes are told and answered it.
local function text(u)
  return table.concat({ int(u.s), u.p, int(u.a), int(u.ca), u.id, u.app, u.x, u.c }, ' ')
end

local function write(u)
  local key = P .. 'user:' .. u.id
  redis.call('HSET', key, 'p', u.p, 'a', int(u.a), 'c', u.c, 'ca', int(u.ca), 's', int(u.s),
    'n', u.n, 'l', int(u.l), 'r', int(u.r), 'app', u.app, 'x', u.x)
  if u.n > 0 then redis.call('PERSIST', key) else redis.call('EXPIRE', key, KEEP) end
end

-- tell writes the account and has everybody who watches it told.
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
  redis.call('PUBLISH', P .. 'user:' .. u.id, message)
  redis.call('PUBLISH', P .. 'app:' .. u.app, message)
end

-- after answers a moment later than all that the account has been given.
local function after(u, now) return math.max(tonumber(now), u.a + 1, u.ca + 1, u.l + 1) end

-- turn gives the account another presence, where that is one; false: it is none.
local function turn(u, to, at)
  if u.p == to or (to == OFFLINE and u.p ~= ONLINE) then return false end
  u.p, u.a, u.c, u.ca, u.s = to, at, '', 0, version()
  tell(u)
  return true
end

local function add(u, node, device, value)
  if redis.call('HSET', P .. 'user:' .. u.id, 'd:' .. device, node .. ' ' .. value .. ' ' .. int(micros())) == 1 then u.n = u.n + 1 end
  redis.call('SADD', P .. 'node:' .. node, u.id)
end

local function nodeOf(value) return string.match(value, '^%S+') end

-- remove takes a device out, and out of its node's set where it was the last one there.
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

local function holds(node) return redis.call('ZSCORE', P .. 'nodes', node) end
