-- KEYS[1] and ARGV[1], ARGV[2] as in begin.lua. ARGV[3] is the number of the run if it succeeded, else 0.
-- Ends the run.
local name = KEYS[1] .. ARGV[1]
local number = tonumber(ARGV[3])
if number > tonumber(redis.call('HGET', name .. ':runs', 'done') or 0) then
  redis.call('HSET', name .. ':runs', 'done', ARGV[3])
end
if redis.call('GET', name) == ARGV[2] then redis.call('DEL', name) end
return 1
