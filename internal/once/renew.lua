-- KEYS and ARGV as in begin.lua. Returns 1 if the node still runs, or 0 if it has lost the lease.
local name = KEYS[1] .. ARGV[1]
if redis.call('GET', name) ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', name, ARGV[3])
