-- Each key is a hash: n, the failures, and at, the time of the last in µs. ARGV has for each key
-- how many are free, the delay and the longest delay in µs, and how long failures count in ms.
-- Counts one more failure under all keys and returns {}, or counts nothing and returns the longest
-- wait in µs and the number of its key.
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local longest, of = 0, 0
for i, key in ipairs(KEYS) do
  local free, delay, most = tonumber(ARGV[4 * i - 3]), tonumber(ARGV[4 * i - 2]), tonumber(ARGV[4 * i - 1])
  local entry = redis.call('HMGET', key, 'n', 'at')
  local n, at = tonumber(entry[1]) or 0, tonumber(entry[2]) or 0
  if n >= free then
    local wait = at + math.min(delay * 2 ^ math.min(n - free, 40), most) - now
    if wait > longest then longest, of = wait, i end
  end
end
if of > 0 then return { longest, of } end
for i, key in ipairs(KEYS) do
  redis.call('HINCRBY', key, 'n', 1)
  redis.call('HSET', key, 'at', string.format('%.0f', now))
  redis.call('PEXPIRE', key, ARGV[4 * i])
end
return {}
