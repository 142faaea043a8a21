-- Removes the tombstones that have ended from some buckets of one partition.
--
-- KEYS: the buckets
-- ARGV: 1 the first day that is kept: a tombstone begins with the day of the last change
-- Returns the number of tombstones that were removed.
local first, removed = tonumber(ARGV[1]), 0
for _, bucket in ipairs(KEYS) do
  local entries = redis.call('HGETALL', bucket)
  for i = 1, #entries, 2 do
    local day = tonumber(string.match(entries[i + 1], '^%-?%d+'))
    -- What cannot be read stays: its reference code must not be sent again.
    if day and day < first then
      removed = removed + redis.call('HDEL', bucket, entries[i])
    end
  end
end
return removed
