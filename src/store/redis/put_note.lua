-- Compares and sets a note or a seal.
--
-- KEYS: 1 note
-- ARGV: 1 '1' if the note must exist, 2 the text that it must hold, 3 the new text,
--       4 its expiry in ms
-- Returns {1}, or {0, stored text or false}.
local stored = redis.call('GET', KEYS[1])
local expected = ARGV[1] == '1' and ARGV[2]
if stored ~= expected then
  return {0, stored}
end
redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
return {1}
