import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { approve, proposals, propose } from '../../serving/audit/approvals.ts'
import { personOf } from '../../serving/server/console/handlers.ts'
import { type ConsoleApp, consoleApp, PEOPLE } from './admin-console.ts'

const MODELS = 'models:\n  big: {}\n  small: {}\n'

let app: ConsoleApp | undefined
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-proposal-'))
})
afterEach(async () => {
  await app?.close()
  app = undefined
  await rm(folder, { recursive: true })
})
const person = (role: keyof typeof PEOPLE) => personOf({ name: PEOPLE[role], role })

/** A gateway with this policy, approved, that serves no other. */
async function approvingServer(text: string): Promise<{ approvals: string; path: string }> {
  const approvals = join(folder, 'approvals')
  const path = join(folder, 'policy.yaml')
  await writeFile(path, text)
  const first = await propose(approvals, { text, path, by: person('operator') }, new Date(0))
  await approve(approvals, first.id, person('approver'), new Date(0))
  const upstreams = [{ upstream: 'one' }]
  app = await consoleApp({
    config: () => ({
      gateway: {
        upstreams: { one: { base_url: 'http://127.0.0.1:9/v1' } },
        models: { big: { upstreams }, small: { upstreams } },
        policy: path,
        require_approval: approvals,
      },
    }),
  })
  return { approvals, path }
}

const reload = () =>
  app!.admin.inject({
    ...{ method: 'POST', url: '/admin/reload' },
    headers: { authorization: 'Bearer the-admin-token' },
  })

for (const [form, text] of Object.entries({
  'without a learned step': `version: 1\n# why big\n${MODELS}default: big\n`,
  'with a threshold': `version: 1\n${MODELS}learned: {threshold: 0.9} # high\ndefault: big\n`,
  'in JSON': `${JSON.stringify({ version: 1, models: { big: {}, small: {} }, default: 'big' })}\n`,
})) {
  test(`a threshold is proposed to a policy ${form}, and serves once another approved it`, async () => {
    const { approvals, path } = await approvingServer(text)
    const curve = async () => (await app!.ask('viewer', 'curve')).json()
    const before = await curve()
    expect(before.no_proposals).toBeNull()
    const asked = { router: 'sample', threshold: 0.123456, note: ' cheaper <b>now</b> ' }
    expect((await app!.ask('viewer', 'propose_threshold', asked)).statusCode).toBe(403)
    const answer = await app!.ask('operator', 'propose_threshold', asked)
    expect(answer.json()).toMatchObject({ path })
    const { id } = answer.json()
    const { proposal, approval } = (await proposals(approvals)).find(
      (each) => each.proposal.id === id,
    )!
    expect(approval).toBeUndefined()
    expect(proposal).toMatchObject({
      path,
      note: 'cheaper <b>now</b>',
      by: { name: PEOPLE.operator, user: 'console' },
    })
    for (const comment of text.match(/# .*/g) ?? []) expect(proposal.text).toContain(comment)
    // nothing changed by proposing, nor may the text serve yet, nor its author approve it
    expect((await curve()).policy_threshold).toBe(before.policy_threshold)
    await writeFile(path, proposal.text)
    const early = await reload()
    expect(early.json().error.code).toBe('policy_unapproved')
    await expect(approve(approvals, id, person('operator'), new Date())).rejects.toMatchObject({
      code: 'approval_refused',
    })
    await approve(approvals, id, person('approver'), new Date())
    const done = await reload()
    expect(done.statusCode, done.body).toBe(200)
    expect((await curve()).policy_threshold).toBe(0.1235)
  })
}

test('thresholds outside 0 to 1 and unknown routers are refused, and nothing is written', async () => {
  const { approvals } = await approvingServer(`version: 1\n${MODELS}default: big\n`)
  const body = { router: 'sample', threshold: 0.5 }
  for (const wrong of [
    { threshold: 1.1 },
    { threshold: null },
    { threshold: '0.5' },
    { more: 1 },
  ]) {
    const answer = await app!.ask('operator', 'propose_threshold', { ...body, ...wrong })
    expect(answer.statusCode).toBe(400)
  }
  const unknown = await app!.ask('operator', 'propose_threshold', { ...body, router: 'no' })
  expect(unknown.json().error.code).toBe('router_unknown')
  expect(await proposals(approvals)).toHaveLength(1)
})
