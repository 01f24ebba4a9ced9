// rate-limiter-flexible, whose limits are a script, on ioredis.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import Redis from 'ioredis'
import { RateLimiterRedis, RateLimiterQueue, BurstyRateLimiter } from 'rate-limiter-flexible'
import { startServer, waitFor } from './server.mjs'

let server
let redis

before(async () => {
  server = await startServer()
  redis = new Redis({ port: server.port, enableOfflineQueue: true })
})

after(async () => {
  redis.disconnect()
  await server.stop()
})

const limiter = (options) => new RateLimiterRedis({ storeClient: redis, ...options })

test('points are consumed and rewarded', async () => {
  const limit = limiter({ keyPrefix: 'api', points: 5, duration: 1000 })
  for (let left = 4; left >= 0; left--) {
    const state = await limit.consume('ann')
    assert.equal(state.remainingPoints, left)
    assert.equal(state.isFirstInDuration, left === 4)
    assert.ok(state.msBeforeNext > 0 && state.msBeforeNext <= 1_000_000)
  }
  await assert.rejects(limit.consume('ann'), (state) => state.consumedPoints === 6)
  assert.equal((await limit.consume('bob', 3)).remainingPoints, 2)
  assert.equal((await limit.reward('ann', 3)).consumedPoints, 3)
  assert.equal((await limit.penalty('bob', 2)).consumedPoints, 5)
  assert.equal((await limit.get('bob')).consumedPoints, 5)
  assert.equal(await limit.get('nobody'), null)
  assert.equal(await limit.delete('bob'), true)
  assert.equal(await limit.get('bob'), null)
})

test('who goes on is blocked for longer', async () => {
  const limit = limiter({ keyPrefix: 'login', points: 2, duration: 10, blockDuration: 500 })
  await limit.consume('ann', 2)
  await assert.rejects(limit.consume('ann'), (state) => state.msBeforeNext > 400_000)
  const ttl = await redis.pttl('login:ann')
  assert.ok(ttl > 400_000 && ttl <= 500_000, String(ttl))
  await limit.block('bob', 100)
  await assert.rejects(limit.consume('bob'))
})

test('of many at once exactly so many pass', async () => {
  const limit = limiter({ keyPrefix: 'crowd', points: 50, duration: 1000 })
  const outcomes = await Promise.allSettled(Array.from({ length: 200 }, () => limit.consume('all')))
  assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 50)
  assert.equal((await limit.get('all')).consumedPoints, 200)
})

test('the points come back when the time has passed', async () => {
  const limit = limiter({ keyPrefix: 'short', points: 1, duration: 1 })
  await limit.consume('ann')
  await assert.rejects(limit.consume('ann'))
  await waitFor(() => limit.consume('ann').then(() => true, () => false))
})

test('a burst is taken from a second limit, and a queue waits', async () => {
  const bursty = new BurstyRateLimiter(
    limiter({ keyPrefix: 'steady', points: 2, duration: 1000 }),
    limiter({ keyPrefix: 'burst', points: 3, duration: 1000 }),
  )
  const outcomes = []
  for (let i = 0; i < 7; i++) outcomes.push(await bursty.consume('ann').then(() => 1, () => 0))
  assert.deepEqual(outcomes, [1, 1, 1, 1, 1, 0, 0])
  const queue = new RateLimiterQueue(limiter({ keyPrefix: 'queue', points: 2, duration: 1 }))
  const left = await Promise.all(Array.from({ length: 5 }, () => queue.removeTokens(1)))
  assert.equal(left.length, 5)
})
