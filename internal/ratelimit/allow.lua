-- KEYS[1] lists the grants, the oldest first, as "TIME BEFORE AFTER": the time in µs, and how many
-- had been granted before and after this grant since the list began.
-- ARGV: how many may be granted in any window, the window in µs, how many are requested.
-- Returns 0 if they are granted, or how long to wait in µs.
local limit, window, n = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])

local function grant(i)
  local text = redis.call('LINDEX', KEYS[1], i)
  if not text then return nil, 0, 0 end
  local at, before, after = string.match(text, '^(%d+) (%d+) (%d+)$')
  return tonumber(at), tonumber(before), tonumber(after)
end

local at, before = grant(0)
while at and at + window <= now do
  redis.call('LPOP', KEYS[1])
  at, before = grant(0)
end
local _, _, after = grant(-1)
local excess = after - before + n - limit
if excess > 0 then
  -- The first grant that frees enough when it leaves the window.
  local low, high = 0, redis.call('LLEN', KEYS[1]) - 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    local _, _, freed = grant(middle)
    if freed - before >= excess then high = middle else low = middle + 1 end
  end
  return grant(low) + window - now
end
redis.call('RPUSH', KEYS[1], string.format('%.0f %.0f %.0f', now, after, after + n))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return 0
