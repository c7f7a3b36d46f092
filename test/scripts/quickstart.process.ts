import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadRouter } from '../../models/router.ts'
import { built } from '../built/build.ts'
import { type StandIn, standIn, standInGateway } from './collect/stand-in.ts'

let root: string
let provider: StandIn
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-quickstart-'))
  provider = await standIn({ quality: { big: 0.9, small: 0.4 } })
  const rows = Array.from({ length: 450 }, (_, i) => JSON.stringify({ prompt: `Question ${i}` }))
  await writeFile(join(root, 'prompts.jsonl'), rows.join('\n'))
  await writeFile(
    join(root, 'weir.json'),
    JSON.stringify({ gateway: standInGateway(provider.url) }),
  )
})
afterAll(async () => {
  await provider.close()
  await rm(root, { recursive: true, force: true })
})

async function quickstart(...more: string[]): Promise<{ code: number | null; text: string }> {
  const words = ['quickstart', 'prompts.jsonl', '--config', 'weir.json', ...more]
  const child = spawn(process.execPath, [join(built(), 'scripts/weir.js'), ...words], {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk) => {
      text += chunk
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, text }
}

test('goes from prompts to a calibrated router, printing each command, and stops at the price unless told', async () => {
  const asked = ['--models', 'big,small', '--judge', 'judge', '--budget', '90']
  const stopped = await quickstart(...asked)
  expect(stopped.text).toMatch(/Plan: 450 of 450 prompts.*--yes/s)
  expect(stopped.code).toBe(2)
  expect(provider.usd).toBe(0)
  const { code, text } = await quickstart(...asked, '--yes')
  expect(text).toMatch(
    /\$ weir collect .*\$ weir grade collected.*\$ weir train collected\/dataset --strong big --weak small.*\$ weir evaluate .*\$ weir calibrate bundles\/first .*Serve it: weir serve bundles\/first --config weir\.json/s,
  )
  expect(code).toBe(0)
  const router = await loadRouter(join(root, 'bundles', 'first'))
  expect(router.manifest.candidates.map(({ model }) => model).sort()).toEqual(['big', 'small'])
  await router.close()
  expect(await readFile(join(root, 'collected', 'log.jsonl'), 'utf8')).toContain('"winner"')
}, 240_000)
