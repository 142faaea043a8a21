-- Compares and sets a note or a seal.
--
-- KEYS: 1 note, 2 seal of its partition (none for a seal itself)
-- ARGV: 1 '1' if the note must exist, 2 the text that it must hold, 3 the new text,
--       4 its expiry in ms
-- Returns {1}, or {0, stored text or false}.
-- A gateway that was cut off while the notes were moved to another store changes none of them.
local seal = KEYS[2] and redis.call('GET', KEYS[2])
if seal and string.sub(seal, 1, 6) == 'moved:' then
  return redis.error_reply('OKBMOVED the records were moved to another store: ' .. string.sub(seal, 7))
end
local stored = redis.call('GET', KEYS[1])
local expected = ARGV[1] == '1' and ARGV[2]
if stored ~= expected then
  return {0, stored}
end
redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
return {1}
