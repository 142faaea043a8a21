-- Retires a record by compare-and-delete: its entries and its tombstone in one step, all in one
-- slot. A claim under the reference code comes before this step, and is the stored version then,
-- or after it, and finds the tombstone.
--
-- KEYS: 1 record, 2 due index, 3 due index of the account, 4 index of requested checks of the
--       account, 5 listing, 6 bucket of the tombstone
-- ARGV: 1 version, 2 attempt token of that version, 3 member, 4 field of the tombstone,
--       5 tombstone ('' = none)
-- Returns 1 when retired, 0 when another version or none is stored.
local stored = redis.call('HMGET', KEYS[1], 'version', 'body', 'listed')
-- The token is compared as in commit.lua.
if stored[1] ~= ARGV[1]
  or not string.find(stored[2], '"token":"' .. ARGV[2] .. '"', 1, true) then
  return 0
end
-- The first write is one that a full server accepts, and with it the whole script: retiring makes
-- room.
redis.call('DEL', KEYS[1])
for index = 2, 4 do
  redis.call('ZREM', KEYS[index], ARGV[3])
end
if stored[3] then
  redis.call('ZREM', KEYS[5], stored[3])
end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[6], ARGV[4], ARGV[5])
end
return 1
