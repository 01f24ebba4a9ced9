-- Leaves, the queue as well, and wakes who is first. KEYS as in turn_come.lua. ARGV: who.
local function wake()
local next = redis.call('ZRANGE', KEYS[3], 0, 0)[1]
if next then redis.call('PUBLISH', 'orrery-lock:' .. string.sub(next, 2, 21), next) end
end
local had = redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[3], ARGV[1])
if redis.call('EXISTS', KEYS[2], KEYS[3]) == 0 then redis.call('DEL', KEYS[1]) else wake() end
return had
