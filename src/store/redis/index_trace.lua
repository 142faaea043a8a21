-- Indexes a trace code, or removes it from the index.
--
-- A key of its own costs a trace code about 170 bytes, an entry in a small hash about 60. So
-- trace codes share hashes ("buckets"), which stay small however many there are: level L of a
-- partition has 4^L buckets, and is filled up to about 48 entries in each before the next level
-- is begun. An entry stays in its level. `find_trace.lua` looks in every level.
--
-- KEYS: 1 count and top level, 2 key of the trace code in schema 3
-- ARGV: 1 field, 2 start of the names of buckets, 3 hash of the field: a number below 2^48,
--       4 the reference, 5 '1' to remove the entry if it names that reference
local counted = redis.call('HMGET', KEYS[1], 'count', 'top')
local count, top = tonumber(counted[1] or 0), tonumber(counted[2] or 0)
local before = count
local function bucket(level)
  return ARGV[2] .. level .. ':' .. string.format('%.0f', ARGV[3] % 4 ^ level)
end
local function remove(level)
  count = math.max(count - redis.call('HDEL', bucket(level), ARGV[1]), 0)
end
-- A Redis whose memory is full accepts this write only behind another one, which HDEL is.
local function write_count()
  if count ~= before then
    redis.call('HSET', KEYS[1], 'count', string.format('%.0f', count))
  end
end
if ARGV[5] ~= '' then
  if redis.call('GET', KEYS[2]) == ARGV[4] then
    redis.call('DEL', KEYS[2])
  end
  for level = 0, top do
    if redis.call('HGET', bucket(level), ARGV[1]) == ARGV[4] then
      remove(level)
    end
  end
  write_count()
  return 1
end
local level, room = 0, 48
while count >= room do
  level = level + 1
  room = room + 48 * 4 ^ level
end
-- `find_trace.lua` takes the entry of the highest level. After removals an entry is written below
-- that level again, so an older one of the same trace code is removed above it.
for above = level + 1, top do
  remove(above)
end
-- Redis does not roll back a script that fails, and an entry above the top level is never found: so
-- the top level is written first.
if level > top then
  redis.call('HSET', KEYS[1], 'top', string.format('%.0f', level))
end
count = count + redis.call('HSET', bucket(level), ARGV[1], ARGV[4])
write_count()
return 1
