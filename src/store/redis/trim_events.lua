-- Removes events from before a time: some whole nodes of the stream, or, when no whole node is left,
-- what is old of the first one; and what is old of the erased events beside the stream.
--
-- KEYS: 1 event stream, 2 erased events
-- ARGV: 1 time in ms, 2 the most events to remove in whole nodes
-- Returns the number of removed events.
local removed = redis.call('XTRIM', KEYS[1], 'MINID', '~', ARGV[1], 'LIMIT', ARGV[2])
if removed == 0 then
  removed = redis.call('XTRIM', KEYS[1], 'MINID', '=', ARGV[1])
end
for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
  if tonumber(string.match(id, '^%d+')) < tonumber(ARGV[1]) then
    removed = removed + redis.call('HDEL', KEYS[2], id)
  end
end
return removed
