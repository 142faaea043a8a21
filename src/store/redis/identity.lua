-- Compares and sets the identity: writes facts if it holds exactly what the caller read.
--
-- KEYS: 1 identity
-- ARGV: 1 the number of facts that were read; those, as name and value; then the facts
--       to write, as name and value
-- Returns 1 when written, 0 when the identity has changed since.
local read = tonumber(ARGV[1])
if redis.call('HLEN', KEYS[1]) ~= read then
  return 0
end
for i = 1, read do
  if redis.call('HGET', KEYS[1], ARGV[2 * i]) ~= ARGV[2 * i + 1] then
    return 0
  end
end
for i = 2 * read + 2, #ARGV, 2 do
  redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1])
end
return 1
