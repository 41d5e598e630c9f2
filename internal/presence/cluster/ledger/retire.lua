-- NODE. Ends its lease; its devices must then be swept.
redis.call('ZREM', P .. 'nodes', ARGV[1])
redis.call('SADD', P .. 'dead', ARGV[1])
return { 'done' }
