import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, expect, test, vi } from 'vitest'
import { policyCommand } from '../../scripts/cli/commands/policy/policy.ts'
import { openAuditLog } from '../../serving/audit/audit-log.ts'
import { scratch } from '../data/scratch.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** What the command prints on stdout. */
async function weirPolicy(...args: string[]): Promise<string> {
  let printed = ''
  vi.spyOn(process.stdout, 'write').mockImplementation((chunk) => {
    printed += String(chunk)
    return true
  })
  vi.spyOn(process.stderr, 'write').mockImplementation(() => true)
  try {
    await policyCommand().parseAsync(args, { from: 'user' })
  } finally {
    vi.restoreAllMocks()
  }
  return printed
}

const POLICY = 'version: 1\nmodels:\n  big: {}\ndefault: big\n'

test('weir policy propose, approve and proposals: two people for one text', async () => {
  const folder = await scratch({ 'policy.yaml': POLICY, 'bad.yaml': 'version: 1\n' })
  const to = join(folder, 'approvals')
  const file = join(folder, 'policy.yaml')
  const said = await weirPolicy('propose', file, '--by', 'alice', '--to', to, '--note', 'new')
  const id = /^Proposed ([0-9a-f]{12})/.exec(said)![1]!
  expect(said).toContain(`Next, by someone else: weir policy approve ${id} --by NAME --to ${to}`)
  await expect(weirPolicy('approve', id, '--by', 'Alice', '--to', to)).rejects.toMatchObject({
    code: 'approval_refused',
  })
  await weirPolicy('approve', id, '--by', 'bob', '--to', to)
  const [state] = JSON.parse(await weirPolicy('proposals', to, '--json'))
  expect(state).toMatchObject({ proposal: { text: POLICY, note: 'new' }, approval: { id } })
  expect(await weirPolicy('proposals', to)).toMatch(new RegExp(`${id} .*alice.*bob`))
  // what could not be served is not handed in
  const bad = weirPolicy('propose', join(folder, 'bad.yaml'), '--by', 'alice', '--to', to)
  await expect(bad).rejects.toMatchObject({ code: 'config_invalid' })
  await expect(weirPolicy('propose', file, '--by', ' ', '--to', to)).rejects.toThrow(/--by/)
})

test('weir policy audit prints what was served, and fails where a line was changed', async () => {
  const folder = await scratch({})
  const who = { user: 'ops', host: 'one', process: 1 }
  const log = await openAuditLog({
    place: folder,
    who,
    now: () => new Date('2026-03-01T12:00:00Z'),
  })
  for (const hash of ['aaaa', 'bbbb', 'cccc']) {
    const diff = `+1 ${hash}`
    await log.record({ event: 'policy_loaded', name: 'main', hash, why: 'SIGHUP', diff })
  }
  const printed = await weirPolicy('audit', folder, '--diff')
  expect(printed).toMatch(/policy_loaded +main +bbbb +ops@one +SIGHUP/)
  expect(printed).toContain('2 main\n+1 bbbb')
  expect(printed).toMatch(/3 records; the last line’s sha256 is [0-9a-f]{64}/)
  const text = await readFile(log.path, 'utf8')
  await writeFile(log.path, text.replace('"hash":"bbbb"', '"hash":"dddd"'))
  await expect(weirPolicy('audit', folder)).rejects.toMatchObject({ code: 'audit_broken' })
  await expect(weirPolicy('audit', log.path)).rejects.toThrow(/1 fault; the first: line 3/)
})

test('weir policy compare says where no policy decided', async () => {
  const header = { object: 'log', format: 1, created: '', text: 'none', embedding: false }
  const folder = await scratch({ 'log.jsonl': `${JSON.stringify(header)}\n` })
  expect(await weirPolicy('compare', folder)).toContain('no request in')
})
