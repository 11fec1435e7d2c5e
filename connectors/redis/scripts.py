"""Lua scripts that run inside Redis: each checks the fence and writes in one atomic step.

Every script of a batch has KEYS[1] = the fence (a hash) and ARGV[1], ARGV[2] = the writer's field and token
in it; ARGV[3] is the time to live in milliseconds, 0 for ever. It answers with a flat list of position
(counted from 1) and message of each key that it could not write.
"""

from __future__ import annotations

FENCED = "STREAMJOBS_FENCED"
"""The answer of a script to a writer that may no longer write."""

_CHECK = f"""
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
  return redis.error_reply('{FENCED} another writer')
end
local call, failed, ttl = redis.pcall, {{}}, ARGV[3]
local function done(i, answer)
  if type(answer) == 'table' and answer.err then
    failed[#failed + 1] = i
    failed[#failed + 1] = answer.err
    return false
  end
  return true
end
local function lives(key)
  if ttl ~= '0' then call('PEXPIRE', key, ttl) else call('PERSIST', key) end
end
"""

WRITE_TEXTS = (
    _CHECK
    + """
for i = 2, #KEYS do
  local text = ARGV[i + 2]
  if text == '' then done(i - 1, call('DEL', KEYS[i]))
  elseif ttl ~= '0' then done(i - 1, call('SET', KEYS[i], text, 'PX', ttl))
  else done(i - 1, call('SET', KEYS[i], text)) end
end
return failed
"""
)
"""One text per key; the empty text deletes."""

WRITE_HASHES = (
    _CHECK
    + """
local width = tonumber(ARGV[4])
local full = string.rep('1', width)
local place = 5 + width
for i = 2, #KEYS do
  local key, mask = KEYS[i], ARGV[place]
  place = place + 1
  if mask == '' then
    done(i - 1, call('DEL', key))
  elseif mask == 'd' then
    done(i - 1, call('HDEL', key, unpack(ARGV, 5, 4 + width)))
  else
    local set, null = {}, {}
    for column = 1, width do
      local state = mask == full and 49 or string.byte(mask, column)
      if state == 49 then
        set[#set + 1] = ARGV[4 + column]
        set[#set + 1] = ARGV[place]
        place = place + 1
      elseif state == 48 then
        null[#null + 1] = ARGV[4 + column]
      end
    end
    if done(i - 1, call('HSET', key, unpack(set))) then
      if #null > 0 then call('HDEL', key, unpack(null)) end
      lives(key)
    end
  end
end
return failed
"""
)
"""One hash per key. ARGV[4] = number of columns, then their names; a key has a mask and its values.

A mask has one character per column: 1 set, 0 NULL (no field), - absent (stays). The empty mask deletes the
hash, `d` deletes these columns of it.
"""

WRITE_MEMBERS = (
    _CHECK
    + """
for i = 2, #KEYS do
  local score, member = ARGV[2 * i], ARGV[2 * i + 1]
  if score == '' then done(i - 1, call('ZREM', KEYS[i], member))
  elseif done(i - 1, call('ZADD', KEYS[i], score, member)) then lives(KEYS[i]) end
end
return failed
"""
)
"""One member of a sorted set per key: score and member; the empty score removes it."""

REPLACE_FENCE = """
local epoch = tonumber(redis.call('HGET', KEYS[1], 'epoch') or '0')
if ARGV[1] ~= '' and ARGV[1] ~= (redis.call('HGET', KEYS[1], 'state') or 'none') then return 0 end
if epoch >= tonumber(ARGV[2]) then return 0 end
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'epoch', ARGV[2], unpack(cjson.decode(ARGV[3])))
return 1
"""
"""Replaces a fence: ARGV[1] = the state that it must have (`none`: no fence; empty: any), ARGV[2] = the new
epoch, ARGV[3] = a JSON list of fields and values. Answers 1 when it did; an epoch never decreases."""
