-- NODE, account (ID, APP, EXTERNAL, PRESENCE, SINCE of the row), DEVICE, "PLATFORM SINCE",
-- now, the version of the last revocation that the caller has looked behind, and the
-- moment that the database holds as the login's, 0: none.
-- Returns 'lost' if the node has no lease, 'revoked' and the version if the caller must look
-- behind a revocation first, 'login' and a reserved moment if the database must hold the login
-- first; else 'done', '1' if the user has come ONLINE by it, the account, and the version with
-- which the device was added.
local node, device, value, now = ARGV[1], ARGV[7], ARGV[8], ARGV[9]
local mark, own = tonumber(ARGV[10]), tonumber(ARGV[11])
if not holds(node) then return { 'lost' } end
local u = open(ARGV[2], ARGV[3], ARGV[4], ARGV[5], ARGV[6])
if u.r > mark then return { 'revoked', int(u.r) } end
if u.p ~= ONLINE and own == 0 then
  u.l = after(u, now)
  write(u)
  return { 'login', int(u.l) }
end
local added = version()
add(u, node, device, value, added)
u.r = 0
local at = own
if own ~= u.l or own <= u.a then at = after(u, now) end
local came = turn(u, ONLINE, at)
if not came then write(u) end
return { 'done', came and '1' or '0', text(u), int(added) }
