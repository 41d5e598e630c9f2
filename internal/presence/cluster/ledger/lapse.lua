-- Account (ID, APP, EXTERNAL, since when the row holds ONLINE), now, and the beginning of the data
-- that nodes have had time to write their devices to.
-- Sets an account to OFFLINE that is ONLINE in the database and has no device at any node.
-- Returns 'lost' if this is other data; else 'done', and the account unless it has devices.
if redis.call('GET', P .. 'born') ~= ARGV[6] then return { 'lost' } end
local u, since = read(ARGV[1]), tonumber(ARGV[4])
if u and u.n > 0 then return { 'done' } end
u = u or new(ARGV[1], ONLINE, since)
u.app, u.x = ARGV[2], ARGV[3]
-- If this data does not have the login, it was rolled back.
if u.p ~= ONLINE and since > u.a and since > u.l then u.p, u.a = ONLINE, since end
turn(u, OFFLINE, after(u, ARGV[5]))
return { 'done', text(u) }
