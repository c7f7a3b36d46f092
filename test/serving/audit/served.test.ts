import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { writeBundle } from '../../../models/bundle/write.ts'
import { approve, propose } from '../../../serving/audit/approvals.ts'
import { verifyAudit } from '../../../serving/audit/verify.ts'
import { createReloader } from '../../../serving/server/reloader.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'
import { type SampleApp, sampleApp } from '../sample-app.ts'

let folder: string
let sample: SampleApp | undefined
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-audited-'))
})
afterEach(async () => {
  await sample?.close()
  sample = undefined
  await rm(folder, { recursive: true })
})

const text = (route: string): string =>
  `version: 1\nmodels:\n  big: {}\n  small: {}\ndefault: ${route}\n`
const person = (name: string) => ({ name, user: name, host: 'desk' })

async function approved(policy: string): Promise<void> {
  const given = { text: policy, path: 'policy.yaml', by: person('alice') }
  const { id } = await propose(join(folder, 'approvals'), given, new Date())
  await approve(join(folder, 'approvals'), id, person('bob'), new Date())
}

async function serve(requireApproval: boolean) {
  const upstream = { base_url: 'http://127.0.0.1:9/v1' }
  sample = await sampleApp({
    config: () => ({
      log: { folder: join(folder, 'log') },
      gateway: {
        upstreams: { one: upstream },
        models: {
          big: { upstreams: [{ upstream: 'one' }] },
          small: { upstreams: [{ upstream: 'one' }] },
        },
        policy: join(folder, 'policy.yaml'),
        ...(requireApproval ? { require_approval: join(folder, 'approvals') } : {}),
      },
    }),
    services: { who: { user: 'ops', host: 'one', process: 7 } },
  })
  const { fleet, policies, bundleAudit } = sample.services
  const reloader = createReloader({
    fleet,
    policies,
    audit: bundleAudit,
    onReload: () => {},
    onNote: () => {},
  })
  return { sample, reloader }
}

const events = async () => {
  const { records, faults } = await verifyAudit(join(folder, 'log'))
  expect(faults).toEqual([])
  return records
}

describe('a server that logs', () => {
  test('writes down what serves at its start, and each change of a policy with its lines', async () => {
    await writeFile(join(folder, 'policy.yaml'), text('big'))
    const { sample, reloader } = await serve(false)
    await writeFile(join(folder, 'policy.yaml'), text('small'))
    await reloader.reload('SIGHUP')
    await writeFile(join(folder, 'policy.yaml'), text('nobody'))
    await expect(reloader.reload('SIGHUP')).rejects.toThrow(/nobody/)
    const said = await events()
    expect(said.map(({ event, name, why }) => [event, name, why])).toEqual([
      ['bundle_loaded', 'sample', 'start'],
      ['policy_loaded', 'policy', 'start'],
      ['policy_loaded', 'policy', 'SIGHUP'],
      ['policy_refused', 'policy', 'SIGHUP'],
    ])
    expect(said[0]!.hash).toBe(sample.router.manifest.version)
    expect(said[2]).toMatchObject({
      who: { user: 'ops', host: 'one', process: 7 },
      previous_hash: said[1]!.hash,
      diff: '-5 default: big\n+5 default: small',
    })
    expect(said[3]!.error).toMatch(/nobody/)
  })

  test('writes down reloads, refusals and rollbacks of bundles', async () => {
    await writeFile(join(folder, 'policy.yaml'), text('big'))
    const { sample, reloader } = await serve(false)
    const first = sample.router.manifest.version
    const { manifest, path } = await writeBundle(sample.root, sampleDraft({ threshold: 0.9 }))
    await reloader.reload()
    await reloader.rollback('sample', first)
    await writeFile(join(path, 'router.onnx'), 'broken')
    await expect(reloader.rollback('sample', manifest.version)).rejects.toThrow()
    const said = (await events()).filter(({ event }) => event.startsWith('bundle'))
    expect(said.map(({ event, hash, previous_hash }) => [event, hash, previous_hash])).toEqual([
      ['bundle_loaded', first, undefined],
      ['bundle_loaded', manifest.version, first],
      ['bundle_rolled_back', first, manifest.version],
      ['bundle_refused', undefined, undefined],
    ])
  })
})

describe('a server that requires approval', () => {
  test('does not start with a policy that nobody else approved', async () => {
    await writeFile(join(folder, 'policy.yaml'), text('big'))
    await expect(serve(true)).rejects.toMatchObject({ code: 'policy_unapproved' })
    expect((await events()).map(({ event }) => event)).toEqual(['bundle_loaded', 'policy_refused'])
  })

  test('refuses a changed text until it is approved too; the one before serves on', async () => {
    await approved(text('big'))
    await writeFile(join(folder, 'policy.yaml'), text('big'))
    const { sample, reloader } = await serve(true)
    const [served] = sample.services.policies!.status
    await writeFile(join(folder, 'policy.yaml'), text('small'))
    await expect(reloader.reload('admin')).rejects.toMatchObject({ code: 'policy_unapproved' })
    expect(sample.services.policies!.status[0]!.hash).toBe(served!.hash)
    await approved(text('small'))
    await reloader.reload('admin')
    expect(sample.services.policies!.status[0]!.hash).not.toBe(served!.hash)
    const said = (await events()).filter(({ event }) => event.startsWith('policy'))
    expect(said.map((record) => [record.event, record.proposed_by, record.approved_by])).toEqual([
      ['policy_loaded', 'alice', 'bob'],
      ['policy_refused', undefined, undefined],
      ['policy_loaded', 'alice', 'bob'],
    ])
  })

  test('watched, takes a policy that was refused once its approval is there', async () => {
    await approved(text('big'))
    await writeFile(join(folder, 'policy.yaml'), text('big'))
    const { sample, reloader } = await serve(true)
    const served = () => sample.services.policies!.status[0]!.hash
    const before = served()
    reloader.watch(5)
    try {
      await writeFile(join(folder, 'policy.yaml'), text('small'))
      const refusals = async () =>
        (await events()).filter(({ event }) => event === 'policy_refused').length
      await expect.poll(refusals, { timeout: 5000 }).toBe(1)
      // nothing new: it is not tried again and again
      await new Promise((resolve) => setTimeout(resolve, 100))
      expect(await refusals()).toBe(1)
      expect(served()).toBe(before)
      await approved(text('small'))
      await expect.poll(served, { timeout: 5000 }).not.toBe(before)
    } finally {
      reloader.close()
    }
  })
})
