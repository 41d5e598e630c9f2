-- NODE, account (ID, APP, EXTERNAL, PRESENCE, SINCE of the row), DEVICE, "PLATFORM SINCE",
-- now, the version of the last revocation after which the caller has checked the user's access, the
-- time of the login that the database holds (0: none), how many devices the account may have (0:
-- any number), and the reason that nodes receive for cutting the oldest ones beyond that.
-- Returns 'lost' if the node has no lease, 'revoked' and a version if the caller must check the
-- user's access again first, 'login' and a reserved time if the database must hold the login first;
-- else 'done', '1' if the user has come ONLINE with the device, the account, the version with which
-- the device was added, and the devices that were taken out because of the limit.
local node, device, value, now = ARGV[1], ARGV[7], ARGV[8], ARGV[9]
local mark, own = tonumber(ARGV[10]), tonumber(ARGV[11])
if not holds(node) then return { 'lost' } end
local limit, reason = tonumber(ARGV[12]), ARGV[13]
local u, devices = open(ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if u.r > mark then return { 'revoked', int(u.r) } end
if u.p ~= ONLINE and own == 0 then
  u.l = after(u, now)
  write(u)
  return { 'login', int(u.l) }
end
local added = version()
devices[device] = nil -- it may have been added by an attempt whose response was lost
add(u, node, device, value, added)
local surplus = {}
if limit > 0 and u.n > limit then
  local others = {}
  for other in pairs(devices) do others[#others + 1] = other end
  table.sort(others, function(a, b) return versionIn(devices[a]) < versionIn(devices[b]) end)
  devices[device] = node .. ' ' .. value -- its node keeps its entry
  for i = 1, math.min(u.n - limit, #others) do surplus[i] = others[i] end
  local values = {}
  for _, other in ipairs(surplus) do
    values[other] = devices[other]
    remove(u, devices, other)
    redis.call('HSET', P .. 'user:' .. u.id, 'g:' .. other, reason .. ' ' .. int(added))
  end
  tellCut(u, reason, false, values)
end
u.r = 0
local at = own
if own ~= u.l or own <= u.a then at = after(u, now) end
local came = turn(u, ONLINE, at)
if not came then write(u) end
return { 'done', came and '1' or '0', text(u), int(added), unpack(surplus) }
