-- Retires a record by compare-and-delete: its entries and its tombstone in one step, all in one
-- slot. A claim under the reference code comes before this step, and is the stored version then,
-- or after it, and finds the tombstone.
--
-- KEYS: 1 record, 2 due index, 3 due index of the account, 4 index of requested checks of the
--       account, 5 listing, 6 bucket of the tombstone
-- ARGV: 1 version, 2 attempt token of that version as text, 3 member, 4 field of the tombstone,
--       5 tombstone ('' = none), 6 the token as 16 bytes, 7 the entry in the listing without state
-- Returns 1 when retired, 0 when another version or none is stored.
local stored = redis.call('HMGET', KEYS[1], 'version', 'body', 'listed')
local head, listed, version, is_same = stored[1], stored[3], stored[1], nil
-- The forms of both schemas are compared as in commit.lua.
if head and string.find(head, ' ', 17, true) then
  local state
  version, state = string.match(head, '^(%d+) %d+ (%S+) ', 17)
  is_same = string.sub(head, 1, 16) == ARGV[6]
  listed = state .. ARGV[7]
elseif head then
  is_same = string.find(stored[2], '"token":"' .. ARGV[2] .. '"', 1, true)
end
if version ~= ARGV[1] or not is_same then
  return 0
end
-- SUBTLE: Redis does not roll back a script that fails, as on a key of the wrong type. So the record
-- is deleted last: at every failure before, it is stored with its listing, and the next pass retires
-- it again. A retired record is not due, so its entries in the due indexes are stale ones.
--
-- The first write is one that a full server accepts, and with it the whole script: retiring makes
-- room.
if listed then
  redis.call('ZSCORE', KEYS[5], listed)
end
for index = 2, 4 do
  redis.call('ZREM', KEYS[index], ARGV[3])
end
if ARGV[5] ~= '' then
  redis.call('HSET', KEYS[6], ARGV[4], ARGV[5])
end
if listed then
  redis.call('ZREM', KEYS[5], listed)
end
redis.call('DEL', KEYS[1])
return 1
