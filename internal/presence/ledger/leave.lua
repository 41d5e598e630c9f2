-- Account (ID, APP, EXTERNAL, PRESENCE, SINCE of the row), the presence after the last device,
-- now, '1' for a revocation, the reason that nodes are told for cutting, '' where they
-- are not, and the devices that leave, '*' for all.
-- Answers '1' where the status has changed, the account, and the devices that left.
local u, devices = open(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5])
local to, now, revoke, reason = tonumber(ARGV[6]), ARGV[7], ARGV[8] == '1', ARGV[9]
local leaving, gone = {}, {}
if ARGV[10] == '*' then
  for device in pairs(devices) do leaving[#leaving + 1] = device end
else
  for i = 10, #ARGV do leaving[#leaving + 1] = ARGV[i] end
end
for _, device in ipairs(leaving) do
  if devices[device] then
    remove(u, devices, device)
    gone[#gone + 1] = device
  end
end
if revoke then u.r = version() end
local changed = u.n == 0 and turn(u, to, after(u, now))
if not changed and (revoke or #gone > 0) then write(u) end
if reason ~= '' and (revoke or #gone > 0) then
  redis.call('PUBLISH', P .. 'cut', table.concat({ u.id, reason, revoke and '1' or '0', table.concat(gone, ' ') }, ' '))
end
return { changed and '1' or '0', text(u), unpack(gone) }
