-- Comes for a turn: a number if it has come, otherwise a place in the queue.
-- KEYS: form, holders, queue, leases of waiters, counter. ARGV: who, form, limit, ttl, lease.
local me, limit, ttl, lease = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local form = redis.call('GET', KEYS[1])
if form and form ~= ARGV[2] then return redis.error_reply('FORM ' .. form) end
if not form then redis.call('SET', KEYS[1], ARGV[2]) end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function wake()
local next = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if next then redis.call('PUBLISH', 'orrery-lock:' .. string.sub(next, 2, 21), next) end
end
local function keep(key, ms)
if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
local gone = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, 100)
for i = 1, #gone do
redis.call('ZREM', KEYS[4], gone[i])
redis.call('ZREM', KEYS[3], gone[i])
end
local held = redis.call('ZSCORE', KEYS[2], me)
if not held then
if not redis.call('ZSCORE', KEYS[3], me) then
local last = redis.call('ZRANGE', KEYS[3], -1, -1, 'WITHSCORES')[2]
redis.call('ZADD', KEYS[3], tonumber(last or 0) + 1, me)
end
local holders = redis.call('ZCARD', KEYS[2])
local free = holders == 0
if not free and string.sub(me, 1, 1) == 's' then
local one = redis.call('ZRANGE', KEYS[2], 0, 0)[1]
free = holders < limit and string.sub(one, 1, 1) == 's'
end
if redis.call('ZRANGE', KEYS[3], 0, 0)[1] ~= me or not free then
redis.call('ZADD', KEYS[4], now + lease, me)
keep(KEYS[1], ttl + lease) keep(KEYS[3], ttl + lease) keep(KEYS[4], ttl + lease)
if #gone > 0 then wake() end
return false
end
redis.call('ZREM', KEYS[3], me)
redis.call('ZREM', KEYS[4], me)
end
redis.call('ZADD', KEYS[2], now + ttl, me)
keep(KEYS[1], ttl + lease) keep(KEYS[2], ttl + lease)
if string.sub(me, 1, 1) == 's' then wake() end
return redis.call('INCR', KEYS[5])
