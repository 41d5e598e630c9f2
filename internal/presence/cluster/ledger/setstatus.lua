-- ID, the custom status, now. Returns the account, or nothing if it is not ONLINE.
local u = read(ARGV[1])
if not u or u.p ~= ONLINE then return {} end
forget(u)
if u.c ~= ARGV[2] then
  u.ca, u.c = after(u, ARGV[3]), ARGV[2]
  change(u)
end
return { text(u) }
