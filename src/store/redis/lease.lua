-- Acquires the lease on a due check.
--
-- The lease is a field of the record. The indexes hold its expiry as due time, so that no gateway
-- finds the check due before then; an earlier release, which has no leases, may reset them.
--
-- KEYS: 1 record, 2 due index, 3 due index of the account, 4 index of requested checks
-- ARGV: 1 member, 2 the caller's time in ms, 3 token of the lease, 4 its duration in ms
-- Returns {0, record} when acquired, {0, false} when the check is not due, or leased.
local member = ARGV[1]
local function defer(at)
  redis.call('ZADD', KEYS[2], at, member)
  redis.call('ZADD', KEYS[3], at, member)
  redis.call('ZADD', KEYS[4], 'XX', at, member)
end
local due, body = redis.call('ZSCORE', KEYS[2], member), redis.call('HGET', KEYS[1], 'body')
if not due or not body then
  for index = 2, 4 do
    redis.call('ZREM', KEYS[index], member)
  end
  return {0, false}
end
if tonumber(due) > tonumber(ARGV[2]) then
  -- An earlier release commits to the first index only, so that index is authoritative.
  redis.call('ZADD', KEYS[3], due, member)
  local asked = redis.call('ZSCORE', KEYS[4], member)
  if asked and tonumber(asked) < tonumber(due) then
    redis.call('ZREM', KEYS[4], member)
  end
  return {0, false}
end
-- SUBTLE: holders run on different machines, so only the clock of this server measures a
-- lease. After a failover that may be another clock, far behind: a lease that would last
-- longer than its duration was written by the former clock, and has expired.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local lease = redis.call('HMGET', KEYS[1], 'lease_ends', 'lease_lasts')
local ends, lasts = tonumber(lease[1] or 0), tonumber(lease[2] or math.huge)
if ends > now and ends - now <= lasts then
  defer(lease[1])
  return {0, false}
end
ends = string.format('%.0f', now + tonumber(ARGV[4]))
redis.call('HSET', KEYS[1], 'lease', ARGV[3], 'lease_ends', ends, 'lease_lasts', ARGV[4])
defer(ends)
return {0, body}
