"""The Lua scripts: what must happen in Redis all at once or not at all."""

from typing import Final

WRITE_ITEM: Final = b"""
-- Gives an item its next rev, writes record, vector and log entry, and answers rev, log id and
-- what was there before; or, if the item is newer than what the record is based on, does nothing
-- and answers its rev, '' and 'newer'.
-- KEYS: item, items, rev, log, epoch, vec, versions.
-- ARGV: id, op, highest rev the writer has seen, the record's JSON after '{', the log id that its
-- preference is of ('' without, 'new' for this write's), the vector's bytes or '', how long a
-- vector is kept (s), about how many log entries are kept, a random epoch in case there is no log
-- yet, the version that the vector is of, the rev that the record is based on or '' if on none.
if ARGV[11] ~= '' then
  local known = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if known and tonumber(known) > tonumber(ARGV[11]) then
    return {string.format('%.0f', known), '', 'newer'}
  end
end
local head = redis.call('GETRANGE', KEYS[1], 0, 14)
local before = head == '' and 'nothing' or head == '{"op":"delete",' and 'delete' or 'put'
redis.call('SET', KEYS[5], ARGV[9], 'NX')
local rev = redis.call('INCR', KEYS[3])
if rev <= tonumber(ARGV[3]) then
  rev = tonumber(ARGV[3]) + 1
  redis.call('SET', KEYS[3], string.format('%.0f', rev))
end
local text = string.format('%.0f', rev)
local log_id = redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*',
  'format', '1', 'id', ARGV[1], 'rev', text, 'op', ARGV[2])
local as_of = ARGV[5] == 'new' and log_id or ARGV[5]
as_of = as_of == '' and 'null' or '"' .. as_of .. '"'
redis.call('SET', KEYS[1], '{"op":"' .. ARGV[2] .. '","rev":' .. text ..
  ',"preference_as_of":' .. as_of .. ',' .. ARGV[4])
redis.call('ZADD', KEYS[2], text, ARGV[1])
if ARGV[6] == '' then
  redis.call('DEL', KEYS[6])
else
  redis.call('SET', KEYS[6], ARGV[1] .. '\\n' .. text .. '\\n' .. ARGV[6], 'EX', ARGV[7])
  redis.call('SADD', KEYS[7], ARGV[10])
end
return {text, log_id, before}
"""

KEEP_VECTOR: Final = b"""
-- Keeps a vector that a reader computed, if the item has not changed meanwhile.
-- KEYS: items, vec, versions.
-- ARGV: id, rev, the vector's bytes, how long it is kept (s), the version that it is of.
local rev = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not rev or tonumber(rev) ~= tonumber(ARGV[2]) then return 0 end
redis.call('SET', KEYS[2], ARGV[1] .. '\\n' .. ARGV[2] .. '\\n' .. ARGV[3], 'EX', ARGV[4])
redis.call('SADD', KEYS[3], ARGV[5])
return 1
"""

COUNT_AFTER: Final = b"""
-- Counts entries of the log after a place, at most so many.
-- KEYS: log. ARGV: the place, how many at most.
-- Answers: how many, the first of them, the last of them, the moment (s, and us of it).
local time = redis.call('TIME')
local found = redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])
if #found == 0 then return {0, '', '', time[1], time[2]} end
return {#found, found[1][1], found[#found][1], time[1], time[2]}
"""

ANNOUNCE_ITEM: Final = b"""
-- Writes an item that a replica knows of a newer rev than is stored, as it is, with a log entry.
-- Of an item that is stored as new or newer nothing is changed.
-- KEYS: item, items, rev, log, epoch, vec, versions.
-- ARGV: id, op, rev, the record's JSON, the vector's bytes or '', how long a vector is kept (s),
-- about how many log entries are kept, a random epoch in case there is no log yet, the version that
-- the vector is of.
-- Answers whether it was written.
local known = redis.call('ZSCORE', KEYS[2], ARGV[1])
if known and tonumber(known) >= tonumber(ARGV[3]) then return 0 end
redis.call('SET', KEYS[5], ARGV[8], 'NX')
if tonumber(redis.call('GET', KEYS[3]) or '0') < tonumber(ARGV[3]) then
  redis.call('SET', KEYS[3], ARGV[3])
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[7], '*',
  'format', '1', 'id', ARGV[1], 'rev', ARGV[3], 'op', ARGV[2])
redis.call('SET', KEYS[1], ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
if ARGV[5] == '' then
  redis.call('DEL', KEYS[6])
else
  redis.call('SET', KEYS[6], ARGV[1] .. '\\n' .. ARGV[3] .. '\\n' .. ARGV[5], 'EX', ARGV[6])
  redis.call('SADD', KEYS[7], ARGV[9])
end
return 1
"""

LOG_STATE: Final = b"""
-- Tells where the log begins and ends, and whether there is an entry at a place.
-- KEYS: log, epoch. ARGV: the place.
-- Answers: epoch, first id, last id, each '' if there is none, and 1 or 0 for the entry.
local state = {redis.call('GET', KEYS[2]) or '', '', '', 0}
local info = redis.pcall('XINFO', 'STREAM', KEYS[1])
if info.err then return string.find(info.err, 'no such key') and state or info end
for n = 1, #info, 2 do
  if info[n] == 'last-generated-id' then state[3] = info[n + 1] end
  if info[n] == 'first-entry' and info[n + 1] then state[2] = info[n + 1][1] end
end
state[4] = #redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])
return state
"""

TRIM_LOG: Final = b"""
-- Notes up to where a replica needs the log no more, and trims it there: before the places of all
-- replicas that noted one of this epoch lately, and before a moment.
-- KEYS: log, snapshots, epoch.
-- ARGV: the replica's name, its place, the place's epoch, how long entries are kept at least (s),
-- how long a replica that notes nothing is waited for (s).
-- Answers how many entries went.
local epoch = redis.call('GET', KEYS[3])
if epoch ~= ARGV[3] then return 0 end
local time = redis.call('TIME')
local now = tonumber(time[1])
redis.call('HSET', KEYS[2], ARGV[1], now .. ' ' .. ARGV[2] .. ' ' .. ARGV[3])
local ms = (now - tonumber(ARGV[4])) * 1000 + math.floor(tonumber(time[2]) / 1000)
local noted = redis.call('HGETALL', KEYS[2])
for n = 2, #noted, 2 do
  local at, theirs, number, of = string.match(noted[n], '^(%d+) (%d+)%-(%d+) (.*)$')
  if of ~= epoch or now - tonumber(at) > tonumber(ARGV[5]) then
    redis.call('HDEL', KEYS[2], noted[n - 1])
  elseif tonumber(theirs) < ms then
    ms = tonumber(theirs)
  end
end
if ms <= 0 then return 0 end
return redis.call('XTRIM', KEYS[1], 'MINID', '~', string.format('%.0f', ms) .. '-0')
"""

KEEP_USER: Final = b"""
-- What the scripts on users share. A record is kept for so many ms from its writing, 0: for ever.
local function keep(key, record, ms)
  if tonumber(ms) == 0 then
    redis.call('SET', key, record)
  else
    redis.call('SET', key, record, 'PX', ms)
  end
end
local function written_at(record)
  return tonumber(string.match(record, '^{"written_at":([0-9.]+),'))
end
-- Whether SETTLE_USER may yet undo it: from its writing on it has this little time, and one that is
-- kept has days.
local function is_unsettled(key, record, time, ms)
  local left, at = redis.call('PTTL', key), written_at(record)
  if left < 0 or not at then return false end
  local now = time[1] * 1000 + time[2] / 1000
  return now + left - at * 1000 <= tonumber(ms) + 1000
end
"""

WRITE_USER: Final = (
    KEEP_USER
    + b"""
-- Writes a user's record with the moment of writing, unless it was written after a given one.
-- A first write under a condition expires until SETTLE_USER keeps it. One that was left so, with
-- the same record, is written again: a repeated request must not take its own write for a newer.
-- KEYS: user. ARGV: the record's JSON after '{', the moment (s) or '', how long it stays unsettled
-- and how long it is kept (ms).
-- Answers: when it was written instead or '', what was there before or '', what is there now.
local before = redis.call('GET', KEYS[1]) or ''
local time = redis.call('TIME')
local record = '{"written_at":' .. time[1] .. string.format('.%06d', time[2]) .. ',' .. ARGV[1]
if ARGV[2] == '' then
  keep(KEYS[1], record, ARGV[4])
  return {'', before, record}
end
local is_same = string.sub(before, -#ARGV[1]) == ARGV[1]
if is_same and is_unsettled(KEYS[1], before, time, ARGV[3]) then before = '' end
local at = written_at(before)
if at and at > tonumber(ARGV[2]) then
  return {string.match(before, '[0-9.]+'), before, before}
end
keep(KEYS[1], record, before == '' and ARGV[3] or ARGV[4])
return {'', before, record}
"""
)

REPLACE_USER: Final = (
    KEEP_USER
    + b"""
-- Writes a user's record with the moment of writing, if what is there is still what was read. One
-- that SETTLE_USER may yet undo is left alone: what was made of it would outlive it.
-- KEYS: user. ARGV: the record's JSON after '{', what was read or '', how long one stays unsettled
-- and how long it is kept (ms).
-- Answers: whether it was written, and what is there now or ''.
local before = redis.call('GET', KEYS[1]) or ''
local time = redis.call('TIME')
if before ~= ARGV[2] or is_unsettled(KEYS[1], before, time, ARGV[3]) then return {0, before} end
local record = '{"written_at":' .. time[1] .. string.format('.%06d', time[2]) .. ',' .. ARGV[1]
keep(KEYS[1], record, ARGV[4])
return {1, record}
"""
)

SETTLE_USER: Final = (
    KEEP_USER
    + b"""
-- Keeps what a conditional write wrote, or undoes it, if it is still there.
-- KEYS: user. ARGV: what was written, 'keep' or 'undo', what was there before or '', how long a
-- record is kept (ms); of what was there before that counts from its own writing.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == 'keep' then
  keep(KEYS[1], ARGV[1], ARGV[4])
elseif ARGV[3] == '' then
  redis.call('DEL', KEYS[1])
elseif ARGV[4] == '0' or not written_at(ARGV[3]) then
  redis.call('SET', KEYS[1], ARGV[3])
else
  local ms = written_at(ARGV[3]) * 1000 + tonumber(ARGV[4])
  redis.call('SET', KEYS[1], ARGV[3], 'PXAT', string.format('%.0f', ms))
end
return 1
"""
)

MARK_ERASED: Final = b"""
-- Marks a user as erased now.
-- KEYS: the mark. ARGV: how long it is kept (s).
local time = redis.call('TIME')
local moment = time[1] .. string.format('.%06d', time[2])
redis.call('SET', KEYS[1], moment, 'EX', ARGV[1])
return moment
"""
