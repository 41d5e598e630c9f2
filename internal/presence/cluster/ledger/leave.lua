-- Account (ID, APP, EXTERNAL, PRESENCE, SINCE of the row), the presence after the last device,
-- now, '1' for a revocation, '1' if the user has been deleted, the reason that nodes receive for
-- cutting links ('' if they receive no message), and the devices that leave ('*' for all).
-- Returns '1' if the status has changed, the account, and the devices that left.
--
-- A device that is cut for a reason is remembered, so that a node that missed the message does not
-- write it again, even if the device was swept before.
local u, devices = open(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
local to, now, revoke, reason = tonumber(ARGV[6]), ARGV[7], ARGV[8] == '1', ARGV[10]
local all = ARGV[11] == '*'
local leaving, gone, values = {}, {}, {}
if all then
  for device in pairs(devices) do leaving[#leaving + 1] = device end
else
  for i = 11, #ARGV do leaving[#leaving + 1] = ARGV[i] end
end
local cut = reason ~= ''
local at = (cut or revoke) and version()
for _, device in ipairs(leaving) do
  if devices[device] then
    values[device] = devices[device]
    remove(u, devices, device)
    gone[#gone + 1] = device
    if cut and not all then
      redis.call('HSET', P .. 'user:' .. u.id, 'g:' .. device, reason .. ' ' .. int(at))
    end
  end
end
if revoke then u.r = at end
if ARGV[9] == '1' then u.e = 1 end
if all and cut then u.g, u.gw = at, reason end
local changed = u.n == 0 and turn(u, to, after(u, now))
if not changed and (revoke or #gone > 0 or (all and cut)) then write(u) end
if all and cut then forget(u) end
if cut then tellCut(u, reason, revoke, values) end
return { changed and '1' or '0', text(u), unpack(gone) }
