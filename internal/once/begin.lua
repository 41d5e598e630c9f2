-- KEYS[1] is the prefix of the keys. ARGV: the name of the work, the node's word for this run, and the
-- length of a lease in ms.
-- Begins a run and returns its number, or 0 if another node runs.
local name = KEYS[1] .. ARGV[1]
if not redis.call('SET', name, ARGV[2], 'NX', 'PX', ARGV[3]) then return 0 end
return redis.call('HINCRBY', name .. ':runs', 'begun', 1)
