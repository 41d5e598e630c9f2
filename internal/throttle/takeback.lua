-- Takes back one failure under each key, as begin.lua counted it; if ARGV has 'true' for the key,
-- all its failures.
for i, key in ipairs(KEYS) do
  local n = tonumber(redis.call('HGET', key, 'n'))
  if n and n > 1 and ARGV[i] ~= 'true' then
    redis.call('HINCRBY', key, 'n', -1)
  else
    redis.call('DEL', key)
  end
end
return 0
