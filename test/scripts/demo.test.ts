import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { buildNeeded } from '../../scripts/demo/build.ts'
import { startServer } from '../../scripts/demo/server.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'weir-demo-'))
})
afterEach(() => rmSync(folder, { recursive: true, force: true }))

describe('the demo builds', () => {
  const put = (path: string, seconds: number): void => {
    const file = join(folder, path)
    mkdirSync(join(file, '..'), { recursive: true })
    writeFileSync(file, '')
    utimesSync(file, seconds, seconds)
  }
  beforeEach(() => {
    for (const name of [
      'console',
      'core',
      'data',
      'models',
      'records',
      'scripts',
      'serving',
      'training',
    ]) {
      put(`${name}/deep/source.ts`, 100)
    }
  })

  test('when there is no build', () => {
    expect(buildNeeded(folder)).toBe(true)
  })

  test('when any source is newer than the build', () => {
    put('dist/scripts/weir.js', 200)
    put('training/deep/source.ts', 300)
    expect(buildNeeded(folder)).toBe(true)
  })

  test('not when the build is the newest', () => {
    put('dist/scripts/weir.js', 200)
    put('data/sample/outcomes.jsonl.gz', 300)
    expect(buildNeeded(folder)).toBe(false)
  })
})

describe('the demo server', () => {
  /** Stands in for `weir serve`: same flags, same `--json` line, same error code. */
  const serveLikeWeir = (): string => {
    const path = join(folder, 'weir.mjs')
    writeFileSync(
      path,
      `import { createServer } from 'node:http'
       const port = Number(process.argv[process.argv.indexOf('--port') + 1])
       const server = createServer((_, response) => response.end('yes'))
       server.on('error', () => { process.stderr.write('error: in use [address_in_use]'); process.exit(1) })
       server.listen(port, '127.0.0.1', () =>
         console.log(JSON.stringify({ url: 'http://127.0.0.1:' + server.address().port })))
       process.on('SIGTERM', () => process.exit(0))`,
    )
    return path
  }

  test('takes a free port, and says so, when the wanted one is in use', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const { port } = other.address() as AddressInfo
    const said: string[] = []
    const server = await startServer(serveLikeWeir(), 'bundle', port, (line) => said.push(line))
    expect(said).toEqual([`port ${port} is in use; taking a free one`])
    expect(server.url).not.toContain(`:${port}`)
    expect(await (await fetch(server.url)).text()).toBe('yes')
    server.stop()
    expect(await server.ended).toBe(0)
    other.close()
  })

  test('fails with what the command said when it cannot start for another reason', async () => {
    const path = join(folder, 'broken.mjs')
    writeFileSync(
      path,
      `process.stderr.write('error: no bundle [bundle_invalid]'); process.exit(1)`,
    )
    await expect(startServer(path, 'bundle', 0, () => {})).rejects.toThrow('[bundle_invalid]')
  })
})
