-- Finds the reference of a trace code (see index_trace.lua).
--
-- KEYS: 1 count and top level, 2 key of the trace code in schema 3
-- ARGV: 1 field, 2 start of the names of buckets, 3 hash of the field
-- Returns the reference, or false.
for level = tonumber(redis.call('HGET', KEYS[1], 'top') or 0), 0, -1 do
  local name = ARGV[2] .. level .. ':' .. string.format('%.0f', ARGV[3] % 4 ^ level)
  local found = redis.call('HGET', name, ARGV[1])
  if found then
    return found
  end
end
return redis.call('GET', KEYS[2])
