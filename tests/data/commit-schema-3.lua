-- Commits a change by compare-and-set: record, event, due indexes and listing together,
-- all in one slot.
--
-- KEYS: 1 record, 2 due index, 3 event stream, 4 listing, 5 number of events,
--       6 due index of the account, 7 index of requested checks of the account,
--       8 seal of the partition
-- ARGV: 1 base version ('' = nothing may be stored), 2 new version,
--       3 record, 4 member, 5 due time in ms ('' = never), 6 revision ('' = no event),
--       7 stream id below which events may be trimmed, 8 entry in the listing,
--       9 the epoch that the store must have ('' = any): run id and replication id,
--       10 attempt token of the base version,
--       11 due time of a requested check in ms ('' = none), 12 the lease to release ('' = none),
--       13 the seal that the partition must carry ('' = any)
-- Returns {1}, or {0, stored record or false}, or {-1} in another epoch.
if ARGV[9] ~= '' then
  local run, id = string.match(ARGV[9], '^(.*):(.*)$')
  local server, replication = redis.call('INFO', 'server'), redis.call('INFO', 'replication')
  local function has(text, line)
    return string.find(text, line, 1, true)
  end
  -- A primary gets another replication id, and no second one, when its first replica
  -- connects: nothing is lost. A server that was a replica in between has a second one.
  if not has(server, '\nrun_id:' .. run .. '\r') or not (
    has(replication, '\nmaster_replid:' .. id .. '\r')
    or has(replication, '\nmaster_replid2:' .. string.rep('0', 40) .. '\r')
  ) then
    return {-1}
  end
end
-- A Redis that is emptied while it runs keeps its ids, but loses the seal.
if ARGV[13] ~= '' and redis.call('GET', KEYS[8]) ~= ARGV[13] then
  return {-1}
end
local stored = redis.call('HMGET', KEYS[1], 'version', 'body')
local version, body = stored[1] or '', stored[2]
-- SUBTLE: after a loss the same version may be of another attempt, so the token is compared
-- as well. The record is JSON without blanks (record.rs), and only its attempt has a token.
if version ~= ARGV[1]
  or body and not string.find(body, '"token":"' .. ARGV[10] .. '"', 1, true) then
  return {0, body}
end
local listed = redis.call('HGET', KEYS[1], 'listed')
if listed ~= ARGV[8] then
  if listed then
    redis.call('ZREM', KEYS[4], listed)
  end
  redis.call('ZADD', KEYS[4], 0, ARGV[8])
end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'body', ARGV[3], 'listed', ARGV[8])
-- A lease is released by its holder, or expires. Until then the check is not due.
local lease_ends = 0
local lease = redis.call('HMGET', KEYS[1], 'lease', 'lease_ends', 'lease_lasts')
if lease[1] and lease[1] == ARGV[12] then
  redis.call('HDEL', KEYS[1], 'lease', 'lease_ends', 'lease_lasts')
elseif lease[2] then
  local ends, time = tonumber(lease[2]), redis.call('TIME')
  -- A lease that would last longer than its duration has expired (see lease.lua).
  if ends - tonumber(time[1]) * 1000 <= tonumber(lease[3] or math.huge) + 1000 then
    lease_ends = ends
  end
end
local function index(key, at)
  if at == '' then
    redis.call('ZREM', key, ARGV[4])
  else
    redis.call('ZADD', key, string.format('%.0f', math.max(tonumber(at), lease_ends)), ARGV[4])
  end
end
index(KEYS[2], ARGV[5])
index(KEYS[6], ARGV[5])
index(KEYS[7], ARGV[11])
if ARGV[6] ~= '' then
  local number = redis.call('INCR', KEYS[5])
  local id = redis.call('XADD', KEYS[3], 'MINID', '~', ARGV[7], '*',
    'key', ARGV[4], 'number', number, 'body', ARGV[3])
  redis.call('HSET', KEYS[1], 'event:' .. ARGV[6], id)
end
-- Notifications may be lost: waiters also poll the store.
redis.call('PUBLISH', 'okb:wake', ARGV[2] .. ' ' .. ARGV[4])
return {1}
