import { execFile } from 'node:child_process'
import { copyFile, mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from '../../../models/encoders/cache.ts'

const PEER = join(import.meta.dirname, '../peers/portkey')

/** Installs the peer by its own lockfile, once, outside the project. @returns its server's file */
export async function installPortkey(): Promise<string> {
  const folder = join(cacheFolder(process.env), 'bench-peers/portkey')
  const server = join(folder, 'node_modules/@portkey-ai/gateway/build/start-server.js')
  const there = await stat(server).catch(() => undefined)
  if (there) return server
  await mkdir(folder, { recursive: true })
  for (const file of ['package.json', 'package-lock.json']) {
    await copyFile(join(PEER, file), join(folder, file))
  }
  await promisify(execFile)('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], {
    cwd: folder,
  })
  return server
}
