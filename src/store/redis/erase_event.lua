-- Replaces an event by its erased form. An entry of a stream cannot be changed, so it is deleted,
-- and the erased event is kept beside the stream, where readers look for what is missing.
--
-- KEYS: 1 event stream, 2 erased events
-- ARGV: 1 stream id, 2 erased event, 3 time in ms before which erased events are trimmed
-- Returns 1, or 0 if the event is not in the stream (any more).
for _, id in ipairs(redis.call('HKEYS', KEYS[2])) do
  if tonumber(string.match(id, '^%d+')) < tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[2], id)
  end
end
if #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1]) == 0 then
  return 0
end
-- Redis does not roll back a script that fails: the erased event is stored before the other is deleted.
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[1])
return 1
