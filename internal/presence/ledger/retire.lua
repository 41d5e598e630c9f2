-- NODE. Ends its lease; its devices are to be swept.
redis.call('ZREM', P .. 'nodes', ARGV[1])
redis.call('SADD', P .. 'dead', ARGV[1])
return { 'done' }
