-- ID, the custom status, now. Answers the account, nothing where it is not ONLINE.
local u = read(ARGV[1])
if not u or u.p ~= ONLINE then return {} end
if u.c ~= ARGV[2] then
  u.ca, u.c, u.s = after(u, ARGV[3]), ARGV[2], version()
  tell(u)
end
return { text(u) }
