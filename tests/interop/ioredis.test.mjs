// ioredis against the server.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import net from 'node:net'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import Redis from 'ioredis'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const binary = process.env.ORRERY_SERVER ?? path.join(root, 'target/release/orrery-server')
let server
let port

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port: found } = probe.address()
      probe.close(() => resolve(found))
    })
  })
}

before(async () => {
  port = await freePort()
  server = spawn(binary, ['--port', String(port)], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve, reject) => {
    server.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    server.stdout.on('data', (text) => String(text).includes('Ready to accept') && resolve())
  })
  server.removeAllListeners('exit')
})

after(() => server.kill())

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
