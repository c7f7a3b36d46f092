import { cp, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { promptHash } from '../../../core/hash.ts'
import type { Dataset } from '../../../data/dataset/dataset.ts'
import { readLogs } from '../../../data/ingest.ts'
import { DATA_HASHES_FILE, encodeDataHashes } from '../../../models/bundle/data-hashes.ts'
import { readBundle } from '../../../models/bundle/read.ts'
import {
  newSigningKey,
  parseSigningKey,
  SIGNATURE_FILE,
  signManifest,
} from '../../../models/bundle/signature.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { loadRouter } from '../../../models/router.ts'
import type { FeedbackRecord } from '../../../records/decision-record.ts'
import { readHistory, readRollout } from '../../../records/rollout.ts'
import { promote, rollBack } from '../../../training/loop/promote.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'
import { loadWordEncoder } from '../../models/word-encoder.ts'

let root: string
let home: string
let serving: string
let better: string
let worse: string
let outcomes: Dataset
const load = (path: string) => loadRouter(path, { loadEncoder: loadWordEncoder })
const current = async (): Promise<string> => basename(await realpath(join(home, 'current')))

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-promote-'))
  // what serves sends nothing strong; proofs are what the strong model is good for
  const write = async (folder: string, threshold: number) =>
    (await writeBundle(join(root, folder), sampleDraft({ threshold }))).manifest.version
  serving = await write('bundles', 0.99)
  better = await write('next', 0.5)
  worse = await write('worse', 0.98)
  home = join(root, 'bundles/sample')
  const lines = Array.from({ length: 400 }, (_, i) => {
    const proof = i % 2 === 0
    const prompt = `${proof ? 'prove' : 'hello'} number ${i} of ${i * 7919}`
    return JSON.stringify({ prompt, scores: { big: 1, small: proof && i % 4 === 0 ? 0 : 1 } })
  })
  await writeFile(join(root, 'outcomes.jsonl'), lines.join('\n'))
  outcomes = await readLogs([join(root, 'outcomes.jsonl')], { seed: 1 })
})
afterAll(() => rm(root, { recursive: true }))

const evidence = () => ({ outcomes, strongPrice: 0.1, load })

test('a candidate that is no better is refused, and why is kept', async () => {
  const path = join(root, 'worse/sample')
  await expect(promote(path, home, evidence())).rejects.toMatchObject({ code: 'promotion_refused' })
  await expect(promote(path, home, { load })).rejects.toThrow('nothing shows that it is better')
  expect((await readHistory(home)).map(({ event, version }) => [event, version])).toEqual([
    ['refused', worse],
    ['refused', worse],
  ])
  expect(await current()).toBe(serving)
})

test('a candidate of another pair, or without the promise that is kept now, is refused', async () => {
  const other = await writeBundle(join(root, 'other'), sampleDraft({ name: 'elsewhere' }))
  await expect(promote(other.path, home, evidence())).rejects.toThrow('name and pair')
  const certificate = { target: { kind: 'share', value: 0.3 }, promise: 'confidence' }
  const certified = await writeBundle(
    join(root, 'certified'),
    sampleDraft({
      manifest: { threshold: { value: 0.99, source: 'calibrated', certificate } },
    }),
  )
  const promised = join(root, 'certified/sample')
  expect(certified.manifest.threshold.certificate).toBeDefined()
  await expect(promote(join(root, 'next/sample'), promised, evidence())).rejects.toThrow(
    'certificate: the serving router has one, the candidate none',
  )
})

test('conversations that a bundle from before transcripts was made from are no evidence', async () => {
  const asked = (i: number) => [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: `prove number ${i}` },
  ]
  const rows = Array.from({ length: 150 }, (_, i) => ({
    prompt: asked(i),
    scores: { big: 1, small: 0 },
  }))
  const path = join(root, 'conversations.jsonl')
  await writeFile(path, rows.map((row) => JSON.stringify(row)).join('\n'))
  const draft = sampleDraft({ threshold: 0.5 })
  const train = rows.map((_, i) => promptHash(`system: Be brief.\n\nprove number ${i}`))
  const files = new Map([...draft.files, [DATA_HASHES_FILE, encodeDataHashes({ train })]])
  await writeBundle(join(root, 'old'), { ...draft, files })
  const spoken = await readLogs([path], { seed: 1 })
  await expect(
    promote(join(root, 'old/sample'), home, { ...evidence(), outcomes: spoken }),
  ).rejects.toThrow('0 prompts that neither router was made from')
})

test('golden prompts must go where they must', async () => {
  const golden = join(root, 'golden.jsonl')
  await writeFile(golden, '{"prompt": "hello there", "expect": "strong"}\n')
  await expect(promote(join(root, 'next/sample'), home, { ...evidence(), golden })).rejects.toThrow(
    'golden prompts: 0 of 1 passed',
  )
})

test('a better candidate goes to shadow, canary and all in order, and back', async () => {
  const path = join(root, 'next/sample')
  await expect(promote(path, home, { ...evidence(), to: 'all' })).rejects.toThrow(
    'shadow comes before all',
  )
  const shadow = await promote(path, home, evidence())
  expect(shadow).toMatchObject({ stage: 'shadow', version: better, serving })
  expect(shadow.gates.every(({ passed }) => passed)).toBe(true)
  expect(await readRollout(home)).toEqual({ version: better, stage: 'shadow' })
  expect(await current()).toBe(serving)
  await promote(path, home, { ...evidence(), share: 0.2 })
  expect(await readRollout(home)).toEqual({ version: better, stage: 'canary', share: 0.2 })
  await promote(path, home, evidence())
  expect(await current()).toBe(better)
  expect(await readRollout(home)).toBeUndefined()
  await expect(promote(path, home, evidence())).rejects.toThrow('it serves already')
  expect(await rollBack(home, { reason: 'complaints' })).toEqual({
    from: better,
    to: serving,
    stage: 'all',
  })
  expect(await current()).toBe(serving)
  expect((await readHistory(home)).slice(-5).map(({ event }) => event)).toEqual([
    'shadow',
    'canary',
    'all',
    'refused',
    'rollback',
  ])
})

test('a rollback takes back what is on its way first, and knows when there is nothing', async () => {
  await promote(join(root, 'next/sample'), home, { ...evidence(), to: 'canary', atOnce: true })
  expect(await rollBack(home)).toMatchObject({ from: better, to: serving, stage: 'canary' })
  expect(await readRollout(home)).toBeUndefined()
  await cp(join(root, 'worse'), join(root, 'fresh'), { recursive: true })
  await expect(rollBack(join(root, 'fresh/sample'))).rejects.toMatchObject({
    code: 'history_missing',
  })
})

test('feedback of a store is evidence like the log’s own', async () => {
  const home = join(root, 'again/sample')
  await writeBundle(join(root, 'again'), sampleDraft({ threshold: 0.99 }))
  const header = { object: 'log', format: 1, created: '2026-01-01', text: 'full', embedding: false }
  const feedback: FeedbackRecord[] = []
  const decisions = Array.from({ length: 1200 }, (_, i) => {
    const [strong, proof] = [i % 3 === 0, i % 2 === 0]
    const score = strong || !proof ? 1 : 0
    feedback.push({ object: 'feedback', decision_id: `d${i}`, score, time: i })
    const [big, small] = [1 / 3, 2 / 3]
    return {
      ...{ object: 'decision', id: `d${i}`, time: i, router: 'sample', version: 'x' },
      ...{ model: strong ? 'big' : 'small', win_rate: proof ? 0.8 : 0.2, threshold: 0.99 },
      ...{ reason: 'explored', propensity: strong ? big : small, propensities: { big, small } },
      ...{ prompt_hash: `h${i}`, text: proof ? 'prove it' : 'hello there' },
    }
  })
  const log = join(root, 'served.jsonl')
  await writeFile(log, [header, ...decisions].map((line) => `${JSON.stringify(line)}\n`).join(''))
  const candidate = join(root, 'next/sample')
  await expect(promote(candidate, home, { log, load, strongPrice: 0.1 })).rejects.toThrow()
  const stored = async function* () {
    yield* feedback
  }
  const { stage } = await promote(candidate, home, {
    log,
    load,
    strongPrice: 0.1,
    feedback: stored,
  })
  expect(stage).toBe('shadow')
})

test('a candidate and a version to go back to must be signed where that is required', async () => {
  const key = newSigningKey()
  const signers = [key.publicKey]
  const from = join(root, 'signed')
  const { path } = await writeBundle(from, sampleDraft({ threshold: 0.6 }))
  const candidate = join(from, 'sample')
  const asked = { ...evidence(), signers, atOnce: true, to: 'all' as const }
  await expect(promote(candidate, home, asked)).rejects.toMatchObject({ code: 'signature_missing' })
  const signature = signManifest(
    await readFile(join(path, 'manifest.json')),
    parseSigningKey(key.privateKey, 'key'),
  )
  await writeFile(join(path, SIGNATURE_FILE), signature)
  const { version, serving: before } = await promote(candidate, home, asked)
  expect((await readBundle(home, { signers })).signedBy).toBe(key.publicKey)
  await expect(rollBack(home, { signers })).rejects.toMatchObject({ code: 'signature_missing' })
  expect(await current()).toBe(version)
  expect(await rollBack(home)).toMatchObject({ from: version, to: before })
})
