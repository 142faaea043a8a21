-- Adds the newest item of a list, and removes those beyond its greatest length.
--
-- KEYS: 1 list
-- ARGV: 1 item, 2 the greatest length
-- Returns the removed items.
redis.call('LPUSH', KEYS[1], ARGV[1])
local dropped = redis.call('LRANGE', KEYS[1], ARGV[2], -1)
redis.call('LTRIM', KEYS[1], 0, ARGV[2] - 1)
return dropped
