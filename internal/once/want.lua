-- KEYS[1] and ARGV[1] as in begin.lua.
-- Notes that a run is wanted that begins later than all so far.
local runs = KEYS[1] .. ARGV[1] .. ':runs'
redis.call('HSET', runs, 'wanted', redis.call('HGET', runs, 'begun') or 0)
return 1
