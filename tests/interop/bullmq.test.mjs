// BullMQ: queues, workers, schedules, flows, limits, retries and events, all of it scripts.
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DelayedError, FlowProducer, Job, Queue, QueueEvents, UnrecoverableError, Worker } from 'bullmq'
import Redis from 'ioredis'
import { startServer, waitFor } from './server.mjs'

let server
let connection
let open = []

before(async () => {
  server = await startServer()
  connection = { host: '127.0.0.1', port: server.port, maxRetriesPerRequest: null }
})

after(() => server.stop())

/** Runs a scenario and closes what it opened, workers first. */
function scenario(name, run) {
  test(name, { timeout: 120_000 }, async () => {
    try {
      await run(name.replaceAll(/\W+/g, '-'))
    } finally {
      for (const each of open.reverse()) await each.close()
      open = []
    }
  })
}

const kept = (made) => (open.push(made), made)
const makeQueue = (name, options) => kept(new Queue(name, { connection, ...options }))
const makeWorker = (name, work, options) => {
  const worker = kept(new Worker(name, work, { connection, ...options }))
  worker.on('error', (error) => assert.fail(error))
  return worker
}
async function makeEvents(name) {
  const events = kept(new QueueEvents(name, { connection }))
  await events.waitUntilReady()
  return events
}

scenario('jobs are worked off in their order and give results', async (name) => {
  const queue = makeQueue(name)
  const events = await makeEvents(name)
  const jobs = await queue.addBulk(
    Array.from({ length: 100 }, (_, i) => ({ name: 'square', data: { n: i } })),
  )
  assert.deepEqual(await queue.getJobCounts('waiting', 'active', 'completed'), {
    waiting: 100, active: 0, completed: 0,
  })
  const order = []
  makeWorker(name, async (job) => {
    order.push(job.data.n)
    await job.updateProgress(50)
    await job.log(`squaring ${job.data.n}`)
    return { square: job.data.n ** 2 }
  })
  const results = await Promise.all(jobs.map((job) => job.waitUntilFinished(events)))
  assert.deepEqual(results, jobs.map((_, i) => ({ square: i * i })))
  assert.deepEqual(order, jobs.map((_, i) => i))
  const last = await Job.fromId(queue, jobs[99].id)
  assert.equal(await last.getState(), 'completed')
  assert.deepEqual([last.progress, last.attemptsMade], [50, 1])
  assert.deepEqual((await queue.getJobLogs(last.id)).logs, ['squaring 99'])
  assert.equal(await queue.getCompletedCount(), 100)
})

scenario('several workers share a queue', async (name) => {
  const queue = makeQueue(name)
  const seen = []
  const work = async (job) => {
    seen.push(job.id)
    await new Promise((resolve) => setTimeout(resolve, 1))
  }
  for (let i = 0; i < 3; i++) makeWorker(name, work, { concurrency: 5 })
  await queue.addBulk(Array.from({ length: 300 }, (_, i) => ({ name: 'job', data: i })))
  await waitFor(async () => (await queue.getCompletedCount()) === 300)
  assert.equal(new Set(seen).size, 300)
  assert.equal(seen.length, 300)
  assert.equal(await queue.getWorkersCount(), 3)
})

scenario('priorities and last in first out', async (name) => {
  const queue = makeQueue(name)
  await queue.pause()
  for (const priority of [5, 1, 3, 1, 0]) await queue.add('job', `p${priority}`, { priority })
  await queue.add('job', 'lifo', { lifo: true })
  const prioritised = await queue.getCountsPerPriority([0, 1, 3, 5])
  assert.deepEqual(prioritised, { 0: 2, 1: 2, 3: 1, 5: 1 })
  assert.equal(await queue.isPaused(), true)
  const order = []
  makeWorker(name, async (job) => order.push(job.data))
  await queue.resume()
  await waitFor(async () => (await queue.getCompletedCount()) === 6)
  assert.deepEqual(order, ['lifo', 'p0', 'p1', 'p1', 'p3', 'p5'])
})

scenario('delayed jobs come when it is time and may be changed before', async (name) => {
  const queue = makeQueue(name)
  const done = []
  makeWorker(name, async (job) => done.push([job.data, Date.now() - job.timestamp]))
  await queue.add('job', 'second', { delay: 600 })
  await queue.add('job', 'first', { delay: 300 })
  const never = await queue.add('job', 'never', { delay: 1_000_000 })
  const promoted = await queue.add('job', 'promoted', { delay: 1_000_000 })
  assert.equal(await queue.getDelayedCount(), 4)
  await promoted.promote()
  const sooner = await queue.add('job', 'sooner', { delay: 1_000_000 })
  await sooner.changeDelay(10)
  await waitFor(() => done.length === 4)
  const names = done.map(([data]) => data)
  assert.ok(names.indexOf('first') < names.indexOf('second'), String(names))
  assert.deepEqual([...names].sort(), ['first', 'promoted', 'second', 'sooner'])
  for (const [data, after] of done) {
    assert.ok(after >= ({ first: 300, second: 600 }[data] ?? 0), `${data} after ${after} ms`)
  }
  assert.deepEqual((await queue.getDelayed()).map((job) => job.id), [never.id])
  await never.remove()
  assert.equal(await queue.getDelayedCount(), 0)
})

scenario('failures are tried again with growing pauses', async (name) => {
  const queue = makeQueue(name)
  const events = await makeEvents(name)
  const starts = []
  makeWorker(name, async (job) => {
    if (job.data === 'hopeless') throw new UnrecoverableError('no use')
    if (job.data === 'never') throw new Error(`attempt ${job.attemptsMade + 1}`)
    starts.push(Date.now())
    if (job.attemptsMade < 3) throw new Error('not yet')
    return job.attemptsMade
  })
  const job = await queue.add('job', 'flaky', {
    attempts: 5, backoff: { type: 'exponential', delay: 40 },
  })
  assert.equal(await job.waitUntilFinished(events), 3)
  for (let i = 1; i < 4; i++) {
    const pause = starts[i] - starts[i - 1]
    assert.ok(pause >= 40 * 2 ** (i - 1) - 1, `pause ${i} was ${pause} ms`)
  }
  const never = await queue.add('job', 'never', { attempts: 2, backoff: 10 })
  await assert.rejects(never.waitUntilFinished(events), /attempt 2/)
  const hopeless = await queue.add('job', 'hopeless', { attempts: 10 })
  await assert.rejects(hopeless.waitUntilFinished(events), /no use/)
  const failed = await queue.getFailed()
  assert.deepEqual(failed.map((each) => each.attemptsMade).sort(), [1, 2])
  assert.equal((await Job.fromId(queue, never.id)).stacktrace.length, 2)
  await failed.find((each) => each.id === never.id).retry()
  await waitFor(async () => (await Job.fromId(queue, never.id)).attemptsMade >= 3)
})

scenario('schedulers repeat jobs by interval and by pattern', async (name) => {
  const queue = makeQueue(name)
  const ticks = []
  makeWorker(name, async (job) => ticks.push([job.name, job.data.n, Date.now()]))
  await queue.upsertJobScheduler('often', { every: 100, limit: 5 }, { name: 'tick', data: { n: 1 } })
  await queue.upsertJobScheduler('cron', { pattern: '* * * * * *' }, { name: 'tock', data: { n: 2 } })
  await waitFor(() => ticks.filter(([kind]) => kind === 'tick').length === 5)
  await waitFor(() => ticks.filter(([kind]) => kind === 'tock').length >= 2)
  const tocks = ticks.filter(([kind]) => kind === 'tock')
  assert.notEqual(Math.floor(tocks[0][2] / 1000), Math.floor(tocks[1][2] / 1000))
  const scheduler = await queue.getJobScheduler('cron')
  assert.equal(scheduler.pattern, '* * * * * *')
  await queue.upsertJobScheduler('cron', { every: 3_600_000 }, { name: 'tock', data: { n: 3 } })
  assert.equal((await queue.getJobScheduler('cron')).every, 3_600_000)
  assert.equal(await queue.removeJobScheduler('cron'), true)
  assert.equal(await queue.removeJobScheduler('cron'), false)
  assert.deepEqual((await queue.getJobSchedulers()).map(({ key }) => key), ['often'])
  assert.equal(await queue.getDelayedCount(), 0)
})

scenario('a flow runs children before their parents', async (name) => {
  const events = await makeEvents(name)
  const flow = kept(new FlowProducer({ connection }))
  const leaves = makeQueue(`${name}-leaves`)
  const order = []
  makeWorker(`${name}-leaves`, async (job) => {
    order.push(job.name)
    return job.data.n
  }, { concurrency: 4 })
  makeWorker(name, async (job) => {
    order.push(job.name)
    const values = Object.values(await job.getChildrenValues())
    return values.reduce((sum, value) => sum + value, 0)
  })
  const leaf = (n) => ({ name: `leaf${n}`, queueName: `${name}-leaves`, data: { n } })
  const tree = await flow.add({
    name: 'root',
    queueName: name,
    children: [
      { name: 'left', queueName: name, children: [leaf(1), leaf(2), leaf(3)] },
      { name: 'right', queueName: name, children: [leaf(10), leaf(20)] },
    ],
  })
  assert.equal(await tree.job.waitUntilFinished(events), 36)
  assert.equal(order.at(-1), 'root')
  assert.equal(order.length, 8)
  assert.ok(order.indexOf('left') > Math.max(...[1, 2, 3].map((n) => order.indexOf(`leaf${n}`))))
  const children = await tree.job.getDependenciesCount()
  assert.deepEqual([children.processed, children.unprocessed], [2, 0])
  assert.equal(await leaves.getCompletedCount(), 5)
})

scenario('a child that fails fails its parent when told so', async (name) => {
  const queue = makeQueue(name)
  const events = await makeEvents(name)
  const flow = kept(new FlowProducer({ connection }))
  makeWorker(name, async (job) => {
    if (job.name === 'bad') throw new Error('broken')
    return Object.keys(await job.getFailedChildrenValues?.() ?? {}).length
  })
  const { job } = await flow.add({
    name: 'parent',
    queueName: name,
    children: [{ name: 'bad', queueName: name, opts: { failParentOnFailure: true } }],
  })
  await assert.rejects(job.waitUntilFinished(events), /child .* failed/)
  const lenient = await flow.add({
    name: 'parent',
    queueName: name,
    children: [{ name: 'bad', queueName: name, opts: { ignoreDependencyOnFailure: true } }],
  })
  assert.equal(await lenient.job.waitUntilFinished(events), 1)
  assert.equal(await queue.getFailedCount(), 3)
})

scenario('a rate limit is kept', async (name) => {
  const queue = makeQueue(name)
  const starts = []
  makeWorker(name, async () => starts.push(Date.now()), {
    concurrency: 10, limiter: { max: 4, duration: 400 },
  })
  await queue.addBulk(Array.from({ length: 12 }, (_, i) => ({ name: 'job', data: i })))
  await waitFor(async () => (await queue.getCompletedCount()) === 12)
  // Twelve in windows of four: the third window opens two durations after the first at the earliest.
  assert.ok(starts[11] - starts[0] >= 700, `${starts[11] - starts[0]} ms`)
})

scenario('events tell the life of every job', async (name) => {
  const queue = makeQueue(name)
  const events = await makeEvents(name)
  const told = []
  for (const kind of ['added', 'waiting', 'active', 'progress', 'completed', 'failed', 'removed']) {
    events.on(kind, (event) => told.push(`${kind} ${event.jobId}`))
  }
  const worker = makeWorker(name, async (job) => {
    await job.updateProgress({ step: 1 })
    if (job.name === 'bad') throw new Error('no')
  })
  await worker.waitUntilReady()
  const good = await queue.add('good', {}, { jobId: 'g' })
  await waitFor(() => told.includes('completed g'))
  await queue.add('bad', {}, { jobId: 'b' })
  await waitFor(() => told.includes('failed b'))
  await good.remove()
  await waitFor(() => told.includes('removed g'))
  const life = (id) => told.filter((text) => text.endsWith(` ${id}`)).map((text) => text.split(' ')[0])
  assert.deepEqual(life('g'), ['added', 'waiting', 'active', 'progress', 'completed', 'removed'])
  assert.deepEqual(life('b'), ['added', 'waiting', 'active', 'progress', 'failed'])
  await queue.trimEvents(2)
  const redis = new Redis(connection)
  assert.ok((await redis.xlen(`bull:${name}:events`)) < 100)
  redis.disconnect()
})

scenario('a job of a worker that is gone is given to another', async (name) => {
  const queue = makeQueue(name)
  const options = { lockDuration: 300, stalledInterval: 200, maxStalledCount: 2 }
  let first = true
  const lost = new Worker(name, () => new Promise(() => {}), { connection, ...options, skipLockRenewal: true })
  lost.on('error', () => {})
  const job = await queue.add('job', 'x', { jobId: 'stalls' })
  await waitFor(async () => (await job.getState()) === 'active')
  await lost.close(true)
  const worker = makeWorker(name, async () => ((first = false), 'rescued'), options)
  const stalled = []
  worker.on('stalled', (id) => stalled.push(id))
  await waitFor(async () => (await job.getState()) === 'completed')
  assert.equal(first, false)
  assert.ok(stalled.includes('stalls'))
  assert.equal((await Job.fromId(queue, 'stalls')).returnvalue, 'rescued')
})

scenario('a job may put itself off and duplicates are dropped', async (name) => {
  const queue = makeQueue(name)
  const events = await makeEvents(name)
  let runs = 0
  makeWorker(name, async (job, token) => {
    if (job.name === 'later' && runs++ === 0) {
      await job.moveToDelayed(Date.now() + 50, token)
      throw new DelayedError()
    }
    return runs
  })
  const job = await queue.add('later', {})
  assert.equal(await job.waitUntilFinished(events), 2)
  await queue.pause()
  const one = await queue.add('job', 1, { deduplication: { id: 'same' } })
  const two = await queue.add('job', 2, { deduplication: { id: 'same' } })
  assert.equal(two.id, one.id)
  assert.equal(await queue.getDeduplicationJobId('same'), one.id)
  assert.equal((await queue.getJobs(['waiting', 'paused'])).length, 1)
})

scenario('finished jobs are cleaned and queues wiped', async (name) => {
  const queue = makeQueue(name)
  makeWorker(name, async () => 'x'.repeat(100))
  await queue.addBulk(Array.from({ length: 50 }, () => ({
    name: 'job', data: 1, opts: { removeOnComplete: { count: 20 } },
  })))
  await waitFor(async () => (await queue.getCompletedCount()) === 20 && (await queue.count()) === 0)
  assert.equal((await queue.clean(0, 5, 'completed')).length, 5)
  assert.equal(await queue.getCompletedCount(), 15)
  await queue.pause()
  await queue.addBulk(Array.from({ length: 30 }, () => ({ name: 'job', data: 1 })))
  await queue.drain()
  assert.equal(await queue.count(), 0)
  for (const each of open.splice(1)) await each.close()
  await queue.obliterate()
  const redis = new Redis(connection)
  assert.deepEqual(await redis.keys(`bull:${name}:*`), [])
  redis.disconnect()
})
