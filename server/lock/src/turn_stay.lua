-- Stays longer: 1, or 0 if the time was over. KEYS as in turn_come.lua. ARGV: who, ttl.
local me, ttl = ARGV[1], tonumber(ARGV[2])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function keep(key, ms)
if redis.call('PTTL', key) < ms then redis.call('PEXPIRE', key, ms) end
end
local till = redis.call('ZSCORE', KEYS[2], me)
if not till or tonumber(till) <= now then return 0 end
redis.call('ZADD', KEYS[2], now + ttl, me)
keep(KEYS[1], ttl) keep(KEYS[2], ttl)
return 1
