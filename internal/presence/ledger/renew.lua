-- NODE, its lease in ms, '1' to enter anew. Answers whether the node holds its
-- lease, the latest version, when this database was first seen empty, and the
-- nodes to be swept.
local node, lease, enter = ARGV[1], tonumber(ARGV[2]), ARGV[3] == '1'
local now = micros() / 1000
local held = enter or holds(node)
if held then redis.call('ZADD', P .. 'nodes', int(now + lease), node) end
for _, lapsed in ipairs(redis.call('ZRANGEBYSCORE', P .. 'nodes', '-inf', int(now))) do
  redis.call('ZREM', P .. 'nodes', lapsed)
  redis.call('SADD', P .. 'dead', lapsed)
end
redis.call('SET', P .. 'born', int(micros()), 'NX')
return { held and '1' or '0', redis.call('GET', P .. 'seq') or '0', redis.call('GET', P .. 'born'),
  unpack(redis.call('SMEMBERS', P .. 'dead')) }
