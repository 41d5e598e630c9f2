-- NODE, account (ID, APP, EXTERNAL), what the node knows of it (version, presence, since, custom
-- since, custom), now, and its devices there: each one's ID and "PLATFORM SINCE".
-- Writes them again. What the node knows counts where Redis has nothing newer.
-- Answers 'lost' where the node has no lease; else 'done', '1' where the user has
-- come ONLINE by it, and the account.
local node, now = ARGV[1], ARGV[10]
if not holds(node) then return { 'lost' } end
local u = read(ARGV[2])
local known = tonumber(ARGV[5])
if not u or u.s < known then
  u = u or { id = ARGV[2], n = 0, l = 0, r = 0 }
  u.app, u.x = ARGV[3], ARGV[4]
  u.s, u.p, u.a, u.ca, u.c = known, tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9]
  tell(u)
end
for i = 11, #ARGV, 2 do add(u, node, ARGV[i], ARGV[i + 1]) end
local came = turn(u, ONLINE, after(u, now))
if not came then write(u) end
return { 'done', came and '1' or '0', text(u) }
