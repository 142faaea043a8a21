-- Writes a note if it holds what the caller saw.
--
-- KEYS: 1 note.  ARGV: 1 '1' if there must be one, 2 what it must hold, 3 the new
-- text, 4 when it may disappear, in ms
-- Returns {1}, or {0, stored text or false}.
local stored = redis.call('GET', KEYS[1])
local expected = ARGV[1] == '1' and ARGV[2]
if stored ~= expected then
  return {0, stored}
end
redis.call('SET', KEYS[1], ARGV[3], 'PXAT', ARGV[4])
return {1}
