// One server for the tests of a file: ORRERY_SERVER, or the release build.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../..')
const binary = process.env.ORRERY_SERVER ?? path.join(root, 'target/release/orrery-server')

function freePort() {
  return new Promise((resolve) => {
    const probe = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address()
      probe.close(() => resolve(port))
    })
  })
}

/** Starts a server; gives its port and how to stop it. */
export async function startServer() {
  const port = await freePort()
  const folder = mkdtempSync(path.join(os.tmpdir(), 'interop-'))
  const child = spawn(path.resolve(binary), ['--port', String(port), '--save', ''], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await new Promise((resolve, reject) => {
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
    child.stdout.on('data', (text) => String(text).includes('Ready to accept') && resolve())
  })
  child.removeAllListeners('exit')
  const stop = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill()
    await ended
    rmSync(folder, { recursive: true })
  }
  return { port, stop }
}

/** Waits for what must come true sooner or later. */
export async function waitFor(condition, patienceMs = 60_000) {
  for (const end = Date.now() + patienceMs; ;) {
    const value = await condition()
    if (value) return value
    if (Date.now() > end) throw new Error('it never happens')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
