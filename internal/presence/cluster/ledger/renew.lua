-- NODE, its lease in ms, '1' to enter, the earliest end that its lease must have, the latest
-- version that the node knows, '1' if its connection was lost since it last renewed the lease, and
-- further nodes whose leases it prolongs.
-- Returns '1' if the node holds its lease, the lease's end, the latest version, when this data
-- began, and the nodes that must be swept.
--
-- The data was rolled back (a snapshot was loaded, or a replica that lagged was promoted) if a node
-- knows a later version or a later end of its own lease, or if another server now has the data. It
-- then counts as data that has just begun, which every node notices.
local node, lease, enter = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local nodes, now = P .. 'nodes', micros() / 1000
local stored, known = tonumber(redis.call('GET', P .. 'seq') or 0), tonumber(ARGV[5])
local ends = holds(node)
local rolledBack = stored < known or (ends and tonumber(ends) < tonumber(ARGV[4]))
if stored < known then redis.call('SET', P .. 'seq', int(known)) end

-- Without the right to INFO, each new connection may be one to another server.
local info = redis.pcall('INFO', 'replication')
local server = type(info) == 'string' and string.match(info, 'master_replid:(%w+)')
if server then
  local before = redis.call('GET', P .. 'server')
  rolledBack = rolledBack or (before and before ~= server)
  if before ~= server then redis.call('SET', P .. 'server', server) end
else
  rolledBack = rolledBack or ARGV[6] == '1'
end
local born = tonumber(redis.call('GET', P .. 'born') or 0)
if rolledBack or born == 0 then
  born = math.max(micros(), born + 1)
  redis.call('SET', P .. 'born', int(born))
end

-- If no node has renewed its lease for a while, Redis did not respond. Leases then do not lapse, and all
-- nodes have the time of a lease to renew theirs: a lease may end just after the first renewal.
local latest = redis.call('ZREVRANGE', nodes, 0, 0, 'WITHSCORES')[2]
local silent = latest and now - (tonumber(latest) - lease) > lease * 2 / 3
local held = enter or ends
local prolonged = { unpack(ARGV, 7) }
if silent then prolonged = redis.call('ZRANGE', nodes, 0, -1) end
if held then prolonged[#prolonged + 1] = node end
if enter then redis.call('ZADD', nodes, int(now + lease), node) end
for _, name in ipairs(prolonged) do
  if holds(name) then redis.call('ZADD', nodes, int(now + lease), name) end
end
for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', int(now))) do
  redis.call('ZREM', nodes, lapsed)
  redis.call('SADD', P .. 'dead', lapsed)
end
return { held and '1' or '0', int(now + lease), redis.call('GET', P .. 'seq') or '0', int(born),
  unpack(redis.call('SMEMBERS', P .. 'dead')) }
