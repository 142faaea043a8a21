-- Takes the check of a transaction that is due.
--
-- KEYS: 1 due index.  ARGV: 1 member, 2 now in ms, 3 leased until in ms
-- Returns 1 when taken, 0 when it is not due.
local due = redis.call('ZSCORE', KEYS[1], ARGV[1])
if due and tonumber(due) <= tonumber(ARGV[2]) then
  redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
  return 1
end
return 0
