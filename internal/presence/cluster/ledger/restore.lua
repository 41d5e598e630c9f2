-- NODE, account (ID, APP, EXTERNAL), what the node knows of it (version, version of its content,
-- presence, since, custom since, custom), now, and its devices there: each one's ID, "PLATFORM
-- SINCE" and the version with which it was added.
-- Writes the devices again, except those that were disconnected. What the node knows counts if
-- Redis has nothing newer.
-- Returns 'lost' if the node has no lease; else 'done', '1' if the user has come ONLINE with the
-- devices, the account, and the ID and reason of each disconnected device.
local node, now = ARGV[1], ARGV[11]
if not holds(node) then return { 'lost' } end
local u = read(ARGV[2])
local known = tonumber(ARGV[5])
local lost = not u
u = u or new(ARGV[2], ARGV[7], ARGV[8])
u.app, u.x = ARGV[3], ARGV[4]
-- earlier is true if one of the devices was connected when the account lost its custom status by
-- going OFFLINE, so that in fact it had not gone OFFLINE.
local written, earlier, cut = false, false, {}
for i = 12, #ARGV, 3 do
  local device, added = ARGV[i], tonumber(ARGV[i + 2])
  local reason = u.cuts[device] and string.match(u.cuts[device], '^%S+')
  if added <= u.g then reason = reason or u.gw end
  if reason then
    cut[#cut + 1], cut[#cut + 2] = device, reason
  else
    add(u, node, device, ARGV[i + 1], added)
    written = true
    earlier = earlier or added <= u.kv
  end
end
if not written then return { 'done', '0', text(u), unpack(cut) } end

local behind = lost or u.s < known
local custom, customSince = '', 0
if behind or known < u.b then
  custom, customSince = ARGV[10], tonumber(ARGV[9])
elseif earlier then
  custom, customSince = u.kc, u.kca
end
if behind then
  u.p, u.a, u.c, u.ca = tonumber(ARGV[7]), tonumber(ARGV[8]), custom, customSince
end
local came = u.p ~= ONLINE
if came then
  u.p, u.a = ONLINE, after(u, now)
  u.c, u.ca = custom, customSince
  change(u)
elseif behind then
  -- If Redis did not know the account, nodes know which users' watchers concurrently received
  -- another status (rowReads in views.go), so the content may count as delivered. If Redis had older
  -- data, they do not.
  u.s = version()
  u.k = lost and tonumber(ARGV[6]) or u.s
  tell(u)
elseif u.ca == 0 and custom ~= '' then
  u.c, u.ca = custom, after(u, now)
  change(u)
else
  write(u)
end
return { 'done', came and '1' or '0', text(u), unpack(cut) }
