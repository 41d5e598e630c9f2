-- NODE, how many accounts at most, now. Takes the devices of a dead node away.
-- Answers whether there are more, and the accounts that have changed.
local node, limit, now = ARGV[1], ARGV[2], ARGV[3]
local out = {}
for _, id in ipairs(redis.call('SPOP', P .. 'node:' .. node, limit)) do
  local u, devices = read(id)
  if u then
    for device, value in pairs(devices) do
      if nodeOf(value) == node then
        redis.call('HDEL', P .. 'user:' .. id, 'd:' .. device)
        u.n = math.max(u.n - 1, 0)
      end
    end
    if u.n == 0 and turn(u, OFFLINE, after(u, now)) then out[#out + 1] = text(u) else write(u) end
  end
end
local more = redis.call('EXISTS', P .. 'node:' .. node) == 1
if not more then redis.call('SREM', P .. 'dead', node) end
return { more and '1' or '0', unpack(out) }
