-- NODE, now, and accounts with devices there, each ID with PRESENCE and SINCE of its row ('0 0' if
-- unknown). Removes the devices of a dead node.
-- Returns '1' if the node has further accounts, and the accounts that have changed.
local node, now = ARGV[1], ARGV[2]
local out = {}
for i = 3, #ARGV, 3 do
  local id, p, a = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  redis.call('SREM', P .. 'node:' .. node, id)
  local u, devices = read(id)
  if u then
    for device, value in pairs(devices) do
      if nodeOf(value) == node then
        redis.call('HDEL', P .. 'user:' .. id, 'd:' .. device)
        u.n = math.max(u.n - 1, 0)
      end
    end
    -- If the row has a later change than Redis, Redis's data was rolled back.
    local to, at = OFFLINE, after(u, math.max(tonumber(now), a + 1))
    if p ~= ONLINE and a > u.a then to, at = p, a end
    if u.n == 0 and turn(u, to, at) then out[#out + 1] = text(u) else write(u) end
  end
end
local more = redis.call('EXISTS', P .. 'node:' .. node) == 1
if not more then redis.call('SREM', P .. 'dead', node) end
return { more and '1' or '0', unpack(out) }
