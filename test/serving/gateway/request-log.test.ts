import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { readLogs } from '../../../data/ingest.ts'
import { readTranscript } from '../../../models/reading/transcript.ts'
import type { DecisionRecord, GatewayRecord } from '../../../records/decision-record.ts'
import { readAnswered } from '../../../records/feedback/answered.ts'
import { readDecisionLog } from '../../../records/log-reader.ts'
import type { GatewayConfig } from '../../../serving/gateway/config.ts'
import type { ServeConfig } from '../../../serving/server/config.ts'
import { EASY, type GatewayApp, gatewayApp, HARD, user } from './gateway-app.ts'

let app: GatewayApp | undefined
const folders: string[] = []
afterEach(async () => {
  await app?.close()
  app = undefined
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true })
})

async function logged(
  log: Partial<NonNullable<ServeConfig['log']>>,
  gateway: Partial<GatewayConfig> = {},
): Promise<{ app: GatewayApp; folder: string }> {
  const folder = await mkdtemp(join(tmpdir(), 'weir-gateway-log-'))
  folders.push(folder)
  app = await gatewayApp({ attempts: 1, ...gateway }, { log: { folder, ...log } })
  return { app, folder }
}

/** Closes the server, so that all of it is on disk. */
async function records(folder: string) {
  await app!.close()
  app = undefined
  const found: { gateway: GatewayRecord[]; decision: DecisionRecord[] } = {
    gateway: [],
    decision: [],
  }
  const stats = { torn: 0, invalid: 0 }
  for await (const { record } of readDecisionLog(folder, stats)) {
    if (record.object === 'gateway') found.gateway.push(record)
    if (record.object === 'decision') found.decision.push(record)
  }
  expect(stats).toEqual({ torn: 0, invalid: 0 })
  return found
}

describe('the log line of a gateway request', () => {
  test('has long metadata and many tags cut, and says so', async () => {
    const { app, folder } = await logged({ metadata: true })
    const ask = (metadata: object) =>
      app.client.chat.completions.create({
        model: 'weir',
        messages: user(EASY),
        ...{ weir: { metadata } },
      })
    const tags = Array.from({ length: 150 }, (_, i) => `tag${i}`)
    await ask({ note: 'x'.repeat(8000), tags: ['a'] })
    await ask({ note: 'x'.repeat(20_000), deep: { more: 'y'.repeat(300) }, tags })
    await ask(Object.fromEntries(Array.from({ length: 900 }, (_, i) => [`field${i}`, 'value'])))
    await expect(ask({ note: 'x'.repeat(65_536) })).rejects.toThrow(
      'weir.metadata: expected at most 65536 characters',
    )
    const lines = (await records(folder)).gateway
    expect(lines.map(({ cut }) => cut)).toEqual([undefined, ['metadata', 'tags'], ['metadata']])
    expect(lines[0]!.metadata!.note).toHaveLength(8000)
    expect(lines[1]!.metadata).toEqual({
      note: `${'x'.repeat(200)}…`,
      deep: { more: `${'y'.repeat(200)}…` },
      tags,
    })
    expect(lines[1]!.tags).toEqual(tags.slice(0, 100))
    expect(lines[2]!.metadata).toEqual({})
    expect(Math.max(...lines.map((line) => JSON.stringify(line).length))).toBeLessThan(20_000)
  })

  test.each(['redacted', 'full'] as const)('has long %s text cut, and says so', async (text) => {
    const { app, folder } = await logged({ text })
    const long = `${HARD} ${'and so on '.repeat(30_000)}`
    await app.client.chat.completions.create({ model: 'weir', messages: user(long) })
    await app.client.chat.completions.create({ model: 'big', messages: user(long) })
    const { gateway, decision } = await records(folder)
    expect(decision.map(({ cut }) => cut)).toEqual([['text']])
    expect(gateway.map(({ cut }) => cut)).toEqual([undefined, ['text']])
    for (const record of [decision[0]!, gateway[1]!]) {
      expect(record.text!.length).toBeLessThan(200_000)
      expect(record.text!.startsWith(HARD)).toBe(true)
    }
  })

  test('is of a user name of at most 1,000 characters', async () => {
    const { app } = await logged({})
    for (const ask of [
      () =>
        app.client.chat.completions.create({
          model: 'weir',
          messages: user(EASY),
          user: 'u'.repeat(1001),
        }),
      () => app.client.embeddings.create({ model: 'big', input: 'x', user: 'u'.repeat(1001) }),
      () => app.client.responses.create({ model: 'big', input: 'x', user: 'u'.repeat(1001) }),
    ]) {
      await expect(ask()).rejects.toMatchObject({ status: 400, param: 'user' })
    }
  })

  test('says who was decided for, who answered, tokens and dollars, and nothing of the text', async () => {
    const { app, folder } = await logged({})
    const { response } = await app.client.chat.completions
      .create({ model: 'weir', messages: user(EASY) })
      .withResponse()
    const { gateway, decision } = await records(folder)
    expect(gateway).toHaveLength(1)
    expect(gateway[0]).toMatchObject({
      id: response.headers.get('x-weir-id'),
      endpoint: 'chat',
      key: 'anyone',
      asked: 'weir',
      step: 'learned',
      reason: 'win_rate_below',
      strategy: 'single',
      targets: ['small', 'big'],
      model: 'small',
      upstream: 'little',
      propensity: 1,
      decision_id: decision[0]!.id,
      win_rate: decision[0]!.win_rate,
      threshold: 0.5,
      attempts: [
        {
          model: 'small',
          outcome: 'answered',
          input_tokens: 1000,
          output_tokens: 500,
          cost_usd: 0.002,
        },
      ],
      cost_usd: 0.002,
      status: 200,
      characters: EASY.length,
    })
    expect(gateway[0]!.saved_usd).toBeCloseTo(0.018, 10)
    expect(JSON.stringify(gateway)).not.toContain(EASY)
  })

  test('holds a failover: who failed, how, and who answered in its place', async () => {
    const { app, folder } = await logged({})
    app.small.otherwise = 'error_500'
    await app.client.chat.completions.create({ model: 'weir', messages: user(EASY) })
    const { gateway, decision } = await records(folder)
    expect(decision[0]!.model).toBe('small')
    expect(gateway[0]).toMatchObject({ model: 'big', failover_from: 'small', cost_usd: 0.02 })
    expect(gateway[0]!.attempts.map(({ model, outcome }) => [model, outcome])).toEqual([
      ['small', 'server_error'],
      ['big', 'answered'],
    ])
  })

  test('is there for an error as well, and for what no router decided', async () => {
    const { app, folder } = await logged({ text: 'full' })
    app.big.otherwise = 'bad_request'
    await app.client.chat.completions
      .create({ model: 'big', messages: user(HARD) })
      .catch(() => undefined)
    const { gateway, decision } = await records(folder)
    expect(decision).toEqual([])
    expect(gateway[0]).toMatchObject({ model: null, step: 'model_named', status: 400, text: HARD })
    expect(gateway[0]).not.toHaveProperty('question')
  })

  test('holds text and metadata as they are switched on', async () => {
    const { app, folder } = await logged({ text: 'redacted', metadata: true })
    const weir = { metadata: { team: 'a', tags: ['x'] }, session_id: 's', threshold: 0.9 }
    const messages = [
      { role: 'system' as const, content: 'be brief' },
      ...user('write to a@b.example'),
    ]
    await app.client.chat.completions.create({ model: 'weir', messages, weir } as never)
    const { gateway, decision } = await records(folder)
    expect(gateway[0]).toMatchObject({
      metadata: weir.metadata,
      tags: ['x'],
      session_id: 's',
      threshold: 0.9,
    })
    // the decision's line has the whole text, this one what the last message was
    const [system, asked] = readTranscript(decision[0]!.text as string).turns
    expect(system).toEqual({ role: 'system', text: 'be brief' })
    expect(asked!.text).toMatch(/^write to \[email\]/)
    expect(gateway[0]!.question).toMatch(/^write to /)
    expect(gateway[0]!.question).not.toContain('a@b.example')
  })
})

describe('feedback on a gateway request', () => {
  test('is the outcome of the model that answered, under either of its ids', async () => {
    const { app, folder } = await logged({ text: 'full' })
    app.small.otherwise = 'error_500'
    const ask = async (content: string): Promise<Headers> =>
      (
        await app.client.chat.completions
          .create({ model: 'weir', messages: user(content) })
          .withResponse()
      ).response.headers
    const say = (decision_id: string, score: number) =>
      app.app.inject({ method: 'POST', url: '/feedback', payload: { decision_id, score } })
    const easy = await ask(EASY)
    const hard = await ask(HARD)
    await say(easy.get('x-weir-decision')!, 0.25)
    await say(hard.get('x-weir-id')!, 1)
    await records(folder)
    const { answered, counts } = await readAnswered(folder)
    expect(counts.orphaned).toBe(0)
    // small was decided for and did not answer: the word is not about it
    expect(answered.map(({ decision, score }) => [decision.model, score])).toEqual([['big', 1]])
    const dataset = await readLogs([folder], { seed: 1 })
    const scores = Object.fromEntries(
      dataset.prompts.map((prompt, i) => [
        prompt,
        dataset.outcomes!.scores[i * dataset.models.length + dataset.models.indexOf('big')],
      ]),
    )
    expect(scores).toEqual({ [EASY]: 0.25, [HARD]: 1 })
  })
})
