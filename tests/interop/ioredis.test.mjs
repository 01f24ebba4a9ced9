// ioredis against the server.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import Redis from 'ioredis'
import { startServer, waitFor } from './server.mjs'

let server
let port

before(async () => {
  server = await startServer()
  port = server.port
})

after(() => server.stop())

test('strings, expiry and errors', async () => {
  const redis = new Redis(port)
  assert.equal(await redis.set('k', 'v', 'EX', 100), 'OK')
  assert.equal(await redis.get('k'), 'v')
  assert.ok((await redis.ttl('k')) > 90)
  assert.equal(await redis.incr('n'), 1)
  assert.deepEqual(await redis.mget('k', 'n', 'missing'), ['v', '1', null])
  await assert.rejects(redis.incr('k'), /value is not an integer or out of range/)
  redis.disconnect()
})

test('pipelines and many commands at once', async () => {
  const redis = new Redis(port)
  const pipeline = redis.pipeline()
  for (let i = 0; i < 1000; i++) pipeline.set(`key:${i}`, i)
  const replies = await pipeline.exec()
  assert.ok(replies.every(([error, reply]) => error === null && reply === 'OK'))
  const values = await Promise.all(Array.from({ length: 1000 }, (_, i) => redis.get(`key:${i}`)))
  assert.deepEqual(values, Array.from({ length: 1000 }, (_, i) => String(i)))
  redis.disconnect()
})

test('scan stream meets every key', async () => {
  const redis = new Redis({ port, db: 3 })
  await redis.mset(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`s:${i}`, i])))
  const seen = new Set()
  for await (const keys of redis.scanStream({ match: 's:*', count: 50 })) {
    keys.forEach((key) => seen.add(key))
  }
  assert.equal(seen.size, 500)
  redis.disconnect()
})

test('reconnects after CLIENT KILL and keeps its database and name', async () => {
  const redis = new Redis({ port, db: 2, connectionName: 'interop' })
  await redis.set('before', 1)
  const id = await redis.client('ID')
  const killer = new Redis(port)
  assert.equal(await killer.client('KILL', 'ID', id), 1)
  assert.equal(await redis.get('before'), '1')
  assert.equal(await redis.client('GETNAME'), 'interop')
  redis.disconnect()
  killer.disconnect()
})

test('pub/sub, with one connection that listens', async () => {
  const [redis, listener] = [new Redis(port), new Redis(port)]
  const received = []
  const done = new Promise((resolve) => {
    const add = (...parts) => received.push(parts) === 4 && resolve()
    listener.on('message', (channel, message) => add(channel, message))
    listener.on('pmessage', (pattern, channel, message) => add(pattern, channel, message))
  })
  assert.equal(await listener.subscribe('news', 'sport'), 2)
  assert.equal(await listener.psubscribe('n*'), 3)
  assert.equal(await redis.publish('news', 'today'), 2)
  assert.equal(await redis.publish('sport', 'goal'), 1)
  assert.equal(await redis.publish('none', 'rain'), 1)
  await done
  assert.deepEqual(received, [
    ['news', 'today'],
    ['n*', 'news', 'today'],
    ['sport', 'goal'],
    ['n*', 'none', 'rain'],
  ])
  assert.equal(await listener.punsubscribe('n*'), 2)
  assert.equal(await listener.unsubscribe(), 0)
  assert.equal(await listener.get('none'), null)
  redis.disconnect()
  listener.disconnect()
})

test('a transaction answers as a whole, and a watched key ends it', async () => {
  const redis = new Redis({ port, db: 4 })
  const other = new Redis({ port, db: 4 })
  const replies = await redis.multi().set('a', 1).incr('a').hset('h', { x: 1, y: 2 }).hgetall('h').exec()
  assert.deepEqual(replies, [[null, 'OK'], [null, 2], [null, 2], [null, { x: '1', y: '2' }]])
  await redis.watch('a')
  await other.set('a', 9)
  assert.equal(await redis.multi().set('a', 10).exec(), null)
  assert.equal(await redis.get('a'), '9')
  const [[, first], [error]] = await redis.multi().set('s', 'x').lpush('s', 'y').exec()
  assert.equal(first, 'OK')
  assert.match(error.message, /WRONGTYPE/)
  await assert.rejects(redis.multi().set('only-a-key').set('b', 1).exec(), /EXECABORT/)
  assert.equal(await redis.exists('b'), 0)
  redis.disconnect()
  other.disconnect()
})

test('commands that are scripts, after SCRIPT FLUSH and in pipelines', async () => {
  const redis = new Redis({
    port,
    db: 5,
    keyPrefix: 'app:',
    scripts: {
      claim: {
        numberOfKeys: 2,
        lua: `if redis.call('SET', KEYS[1], ARGV[1], 'NX') then
                return {KEYS[1], redis.call('RPUSH', KEYS[2], ARGV[1])}
              end
              return redis.error_reply('TAKEN by ' .. redis.call('GET', KEYS[1]))`,
      },
    },
  })
  redis.defineCommand('count', { numberOfKeys: 1, lua: "return redis.call('LLEN', KEYS[1])", readOnly: true })
  assert.deepEqual(await redis.claim('job', 'log', 'ann'), ['app:job', 1])
  await assert.rejects(redis.claim('job', 'log', 'bob'), /TAKEN by ann/)
  await redis.script('FLUSH')
  assert.deepEqual(await redis.claim('job2', 'log', 'bob'), ['app:job2', 2])
  const replies = await redis.pipeline().claim('job3', 'log', 'cy').count('log').get('job3').exec()
  assert.deepEqual(replies, [[null, ['app:job3', 3]], [null, 3], [null, 'cy']])
  const atomic = await redis.multi().claim('job4', 'log', 'di').count('log').exec()
  assert.deepEqual(atomic, [[null, ['app:job4', 4]], [null, 4]])
  const busy = await Promise.all(Array.from({ length: 200 }, (_, i) => redis.claim(`n${i}`, 'many', i)))
  assert.deepEqual(busy.map(([, length]) => length), Array.from({ length: 200 }, (_, i) => i + 1))
  redis.disconnect()
})

test('subscribers by name and by pattern, and again after their connection is killed', async () => {
  const subscriber = new Redis({ port, retryStrategy: () => 10 })
  const publisher = new Redis(port)
  const heard = []
  subscriber.on('message', (channel, text) => heard.push([channel, text]))
  subscriber.on('pmessage', (pattern, channel, text) => heard.push([pattern, channel, text]))
  assert.equal(await subscriber.subscribe('news', 'other'), 2)
  assert.equal(await subscriber.psubscribe('n?ws'), 3)
  for (let i = 0; i < 100; i++) assert.equal(await publisher.publish('news', i), 2)
  await waitFor(() => heard.length === 200)
  const numbers = Array.from({ length: 100 }, (_, i) => String(i))
  assert.deepEqual(heard.filter((m) => m.length === 2), numbers.map((i) => ['news', i]))
  assert.deepEqual(heard.filter((m) => m.length === 3), numbers.map((i) => ['n?ws', 'news', i]))
  assert.equal(await publisher.client('KILL', 'TYPE', 'pubsub'), 1)
  await waitFor(async () => (await publisher.publish('other', 'back')) === 1)
  await waitFor(() => heard.some(([channel, text]) => channel === 'other' && text === 'back'))
  assert.equal(await subscriber.unsubscribe('news', 'other'), 1)
  assert.equal(await subscriber.punsubscribe('n?ws'), 0)
  assert.equal(await subscriber.ping(), 'PONG')
  subscriber.disconnect()
  publisher.disconnect()
})

test('a blocking pop among others, auto-pipelining and buffers', async () => {
  const redis = new Redis({ port, db: 6, enableAutoPipelining: true })
  const waiting = redis.duplicate()
  const popped = waiting.blpop('queue', 0)
  await waitFor(async () => (await redis.client('LIST')).includes('cmd=blpop'))
  assert.equal(await redis.rpush('queue', 'job'), 1)
  assert.deepEqual(await popped, ['queue', 'job'])
  const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  await redis.set(binary, binary)
  assert.deepEqual(await redis.getBuffer(binary), binary)
  const values = await Promise.all(Array.from({ length: 500 }, (_, i) => redis.incrby('sum', i)))
  assert.equal(values.at(-1), (499 * 500) / 2)
  redis.disconnect()
  waiting.disconnect()
})

test('a stream is read by a group', async () => {
  const redis = new Redis({ port, db: 7 })
  await redis.xgroup('CREATE', 'events', 'readers', '$', 'MKSTREAM')
  const id = await redis.xadd('events', '*', 'kind', 'order', 'n', 1)
  const read = await redis.xreadgroup('GROUP', 'readers', 'me', 'COUNT', 10, 'STREAMS', 'events', '>')
  assert.deepEqual(read, [['events', [[id, ['kind', 'order', 'n', '1']]]]])
  assert.equal((await redis.xpending('events', 'readers'))[0], 1)
  assert.equal(await redis.xack('events', 'readers', id), 1)
  assert.equal((await redis.xpending('events', 'readers'))[0], 0)
  redis.disconnect()
})
