-- APP, a version, the maximum number of accounts.
-- Returns the accounts of the app that have changed since that version, in the order of their
-- versions, after the version of the last one ('0' if there are none).
local out = {}
local found = redis.call('ZRANGEBYSCORE', P .. 'changes:' .. ARGV[1], '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[3])
for i = 1, #found, 2 do
  local u = read(found[i])
  if u then out[#out + 1] = text(u) end
end
return { found[#found] or '0', unpack(out) }
