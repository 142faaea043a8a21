-- Removes the oldest item of a list, if it is the given one.
--
-- KEYS: 1 list
-- ARGV: 1 item
-- Returns 1 when it was removed, 0 when another item or none is the oldest.
if redis.call('LINDEX', KEYS[1], -1) ~= ARGV[1] then
  return 0
end
redis.call('RPOP', KEYS[1])
return 1
