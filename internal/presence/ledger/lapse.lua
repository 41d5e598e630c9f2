-- Account (ID, APP, EXTERNAL, since when the row holds ONLINE), now, and the birth of the database
-- that nodes have had time to write their devices to. Turns an account that the
-- database has as ONLINE, and no node has a device of, to OFFLINE.
-- Answers 'lost' where this is another database; else 'done', and the account
-- unless it has devices.
if redis.call('GET', P .. 'born') ~= ARGV[6] then return { 'lost' } end
local u = read(ARGV[1])
if u and u.n > 0 then return { 'done' } end
u = u or { id = ARGV[1], p = ONLINE, a = tonumber(ARGV[4]), c = '', ca = 0, s = 0, n = 0, l = 0, r = 0 }
u.app, u.x = ARGV[2], ARGV[3]
turn(u, OFFLINE, after(u, ARGV[5]))
return { 'done', text(u) }
