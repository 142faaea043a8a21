-- Commits a change by compare-and-set: record, event, due indexes and listing together,
-- all in one slot.
--
-- KEYS: 1 record, 2 due index, 3 event stream, 4 listing, 5 number of events,
--       6 due index of the account, 7 index of requested checks of the account,
--       8 seal of the partition, 9 bucket of the tombstone
-- ARGV: 1 base version ('' = nothing may be stored), 2 its attempt token as text, 3 the same
--       as 16 bytes, 4 new version, 5 revision, 6 '1' if the change is an event,
--       7 record, 8 event ('' = the record), 9 member, 10 due time in ms ('' = never),
--       11 due time of a requested check in ms ('' = none), 12 the lease to release ('' = none),
--       13 state in the listing, 14 the rest of the entry in the listing,
--       15 stream id below which events may be trimmed,
--       16 the epoch that the store must have ('' = any): run id and replication id,
--       17 the seal that the partition must carry ('' = any),
--       18 the new attempt token as 16 bytes ('' = in the form of schema 3),
--       19 the member as events name it, 20 field of the tombstone
-- Returns {1}, or {0, stored record or false}, or {-1} in another epoch, or {-2, tombstone} when
-- the record was retired.
if ARGV[16] ~= '' then
  local run, id = string.match(ARGV[16], '^(.*):(.*)$')
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
local seal = redis.call('GET', KEYS[8])
if ARGV[17] ~= '' and seal ~= ARGV[17] then
  return {-1}
end
-- A gateway that was cut off while the records were moved to another store changes none of them.
if seal and string.sub(seal, 1, 6) == 'moved:' then
  return redis.error_reply('OKBMOVED the records were moved to another store: ' .. string.sub(seal, 7))
end
local stored = redis.call('HMGET', KEYS[1],
  'version', 'body', 'listed', 'lease', 'lease_ends', 'lease_lasts')
local head, body, listed = stored[1], stored[2], stored[3]
-- Nothing is stored under a retired reference code, and nothing ever will be, whichever version the
-- change is made from (retire.lua).
if not head then
  local tombstone = redis.call('HGET', KEYS[9], ARGV[20])
  if tombstone then
    return {-2, tombstone}
  end
end
-- Schema 4: 16 bytes of token, then version, revision, state, kind of index and stream ids.
-- Schema 3: the version alone.
local is_compact = head and string.find(head, ' ', 17, true)
local version, state, indexed, ids = head or '', nil, nil, ''
local is_same
if is_compact then
  version, state, indexed, ids = string.match(head, '^(%d+) %d+ (%S+) (%S+)(.*)$', 17)
  is_same = string.sub(head, 1, 16) == ARGV[3]
  listed = state .. ARGV[14]
else
  -- The record is JSON without blanks (record/json.rs), and only its attempt has a token.
  is_same = not body or string.find(body, '"token":"' .. ARGV[2] .. '"', 1, true)
end
-- SUBTLE: after a loss the same version may be of another attempt, so the token is compared
-- as well. A compact record stays compact: a gateway that has not learnt of schema 4 yet learns
-- of it from the record that it gets back.
if version ~= ARGV[1] or not is_same or is_compact and ARGV[18] == '' then
  return {0, body}
end
local entry = ARGV[13] .. ARGV[14]
if listed ~= entry then
  if listed then
    redis.call('ZREM', KEYS[4], listed)
  end
  redis.call('ZADD', KEYS[4], 0, entry)
end
-- A lease is released by its holder, or expires. Until then the check is not due.
local lease_ends = 0
if stored[4] and stored[4] == ARGV[12] then
  redis.call('HDEL', KEYS[1], 'lease', 'lease_ends', 'lease_lasts')
elseif stored[5] then
  local ends, time = tonumber(stored[5]), redis.call('TIME')
  -- A lease that would last longer than its duration has expired (see lease.lua).
  if ends - tonumber(time[1]) * 1000 <= tonumber(stored[6] or math.huge) + 1000 then
    lease_ends = ends
  end
end
-- The kind of index says what the record has been in since it was last written: a ZREM of what
-- is not there costs as much as one of what is. A record without a kind may be in any.
local function index(key, at, may_be_there)
  if at ~= '' then
    redis.call('ZADD', key, string.format('%.0f', math.max(tonumber(at), lease_ends)), ARGV[9])
  elseif may_be_there then
    redis.call('ZREM', key, ARGV[9])
  end
end
local was_due = head and indexed ~= 'none'
index(KEYS[2], ARGV[10], was_due)
index(KEYS[6], ARGV[10], was_due)
index(KEYS[7], ARGV[11], was_due and indexed ~= 'due')
local id
if ARGV[6] ~= '' then
  local number = redis.call('INCR', KEYS[5])
  id = redis.call('XADD', KEYS[3], 'MINID', '~', ARGV[15], '*',
    'key', ARGV[19], 'number', number, 'body', ARGV[8] ~= '' and ARGV[8] or ARGV[7])
end
if ARGV[18] == '' then
  redis.call('HSET', KEYS[1], 'version', ARGV[4], 'body', ARGV[7], 'listed', entry)
  if id then
    redis.call('HSET', KEYS[1], 'event:' .. ARGV[5], id)
  end
else
  -- The ids of the latest events; those before them are out of range.
  if id then
    ids = ids .. ' ' .. id
    if #ids > 4096 then
      ids = string.match(ids, '^ %S+(.*)$')
    end
  end
  local kind = ARGV[11] ~= '' and 'asked' or ARGV[10] ~= '' and 'due' or 'none'
  redis.call('HSET', KEYS[1], 'body', ARGV[7], 'version', ARGV[18] ..
    ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[13] .. ' ' .. kind .. ids)
  if stored[3] then
    redis.call('HDEL', KEYS[1], 'listed')
  end
end
-- Notifications may be lost: waiters also poll the store.
redis.call('PUBLISH', 'okb:wake', ARGV[4] .. ' ' .. ARGV[9])
return {1}
