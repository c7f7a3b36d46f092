import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { readLogs } from '../../data/read-logs.ts'
import { verifyAudit } from '../../serving/audit/verify.ts'
import type { ShadowAnswersConfig } from '../../serving/gateway/config.ts'
import { buildApp } from '../../serving/server/app.ts'
import { openServices, type ServiceOptions, type Services } from '../../serving/server/services.ts'
import {
  type AnsweringUpstream,
  type Asked,
  answeringUpstream,
} from './strategies/answering-upstream.ts'

const warnings: string[] = []
let root: string
let upstream: AnsweringUpstream
let services: Services | undefined
let app: FastifyInstance | undefined
/** resolves what waits for the other model */
let release: (() => void) | undefined
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-shadow-'))
  release = undefined
  upstream = await answeringUpstream((body) => {
    const counts = { tokens: 5, promptTokens: 20 }
    if (body.model !== 'judge') return { text: `by ${body.model}`, ...counts }
    const { answer } = JSON.parse(body.messages.at(-1)!.content) as { answer: string }
    return { text: JSON.stringify({ grade: answer === 'by big' ? 9 : 4 }), ...counts }
  })
})
afterEach(async () => {
  release?.()
  await stop()
  await upstream.close()
  await rm(root, { recursive: true })
})

async function stop(): Promise<void> {
  await app?.close()
  await services?.close()
  app = undefined
  services = undefined
}

const SHADOW: ShadowAnswersConfig = {
  share: 1,
  models: ['big', 'small'],
  judge: 'judge',
  budget_usd: 5,
}

async function started(
  shadow: Partial<ShadowAnswersConfig> = {},
  gateway: object = {},
  options: Partial<ServiceOptions> = {},
) {
  const price = { input: 10, output: 20 }
  const model = { upstreams: [{ upstream: 'one' }], price, context: 4000, output_tokens: 500 }
  services = await openServices(
    {
      routers: [],
      max_lag_ms: 60_000,
      log: { folder: join(root, 'log'), text: 'full' },
      gateway: {
        upstreams: { one: { base_url: upstream.url } },
        models: { big: model, small: model, judge: model },
        shadow_answers: { ...SHADOW, ...shadow },
        ...gateway,
      },
    },
    {
      environment: {},
      onBug: (error) => {
        throw error
      },
      onWarning: (message) => void warnings.push(message),
      ...options,
    },
  )
  app = buildApp(services)
  return app
}

const chat = (content: string, more: object = {}) =>
  app!.inject({
    method: 'POST',
    url: '/v1/chat/completions',
    payload: { model: 'small', messages: [{ role: 'user', content }], ...more },
  })

/** Lines of the log of one kind. */
async function logged(object: string): Promise<Record<string, unknown>[]> {
  const folder = join(root, 'log')
  const names = (await readdir(folder)).filter((name) => /^\d.*\.jsonl$/.test(name))
  const texts = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')))
  return texts
    .flatMap((text) => text.split('\n'))
    .filter((line) => line.includes(`"object":"${object}"`))
    .map((line) => JSON.parse(line) as Record<string, unknown>)
}

/** The count of a result, once it is there. */
async function counted(result: string, n = 1): Promise<void> {
  for (let i = 0; i < 5000; i++) {
    const text = await services!.metrics.registry.metrics()
    const found = new RegExp(`weir_shadow_answers_total\\{result="${result}"\\} (\\d+)`).exec(text)
    if (Number(found?.[1] ?? 0) >= n) return
    await turn()
  }
  throw new Error(`no ${result}: ${await services!.metrics.registry.metrics()}`)
}

const asked = (model: string): Asked[] => upstream.asked.filter((body) => body.model === model)

test('another model is asked after the client has its answer, and both are judged and kept as feedback', async () => {
  await started()
  const answer = await chat('What is best?')
  expect(answer.json().choices[0].message.content).toBe('by small')
  await counted('judged')
  const id = answer.headers['x-weir-id']
  expect(await logged('feedback')).toMatchObject([
    { decision_id: id, model: 'big', score: 0.9, source: 'shadow:judge', propensity: 1 },
    { decision_id: id, model: 'small', score: 0.4, source: 'shadow:judge' },
  ])
  // blind, and each answer by itself
  for (const question of asked('judge')) {
    expect(question.messages[0]!.content).not.toMatch(/big|small/)
  }
  const report = await services!.budgets!.report()
  expect(
    report.cells.filter(({ route }) => route === 'shadow_answers').map(({ model }) => model),
  ).toEqual(expect.arrayContaining(['big', 'judge']))
  await stop()
  // the log is one that routers learn from: both models on one prompt
  const dataset = await readLogs(join(root, 'log'), { rejectsPath: join(root, 'rejects.jsonl') })
  expect(dataset.models).toEqual(['big', 'small'])
  expect([...dataset.outcomes!.scores].map((score) => Number(score.toFixed(2)))).toEqual([0.9, 0.4])
})

test('a stream is followed without being held up, and its whole text is judged', async () => {
  await started()
  const answer = await chat('Stream it', { stream: true })
  expect(answer.body).toContain('by small')
  await counted('judged')
  expect(await logged('feedback')).toHaveLength(2)
})

test('the client does not wait for the other model', async () => {
  const { reply } = upstream
  upstream.reply = async (body, nth) => {
    if (body.model === 'big') await new Promise<void>((resolve) => (release = resolve))
    return reply(body, nth)
  }
  await started()
  expect((await chat('Quick')).statusCode).toBe(200)
  while (!release) await turn()
  expect(await logged('feedback')).toEqual([])
  release()
  await counted('judged')
})

test('nothing is asked that the policy, the key’s list or the request’s own list keeps it from', async () => {
  const policy = join(root, 'policy.yaml')
  await writeFile(
    policy,
    'version: 1\nmodels:\n  big: {}\n  small: { private: true }\n  judge: {}\nprivacy: { patterns: ["SECRET"] }\ndefault: small\n',
  )
  await started({}, { policy })
  await chat('the SECRET plan', { model: 'weir' })
  await counted('not_allowed', 1)
  await chat('open', { weir: { models: ['small'] } })
  await counted('not_allowed', 2)
  expect(asked('big')).toEqual([])
  expect(asked('judge')).toEqual([])
  await chat('open to all', { model: 'weir' })
  await counted('judged')
})

test('the budget holds, and failures and tool calls record nothing', async () => {
  await started({ budget_usd: 0.00001 })
  await chat('Too dear')
  await counted('budget')
  expect(warnings.join()).toContain('requests that do not fit are refused')
  expect(asked('big')).toEqual([])
  expect(await logged('feedback')).toEqual([])
  await stop()
  upstream.reply = (body) =>
    body.model === 'big' ? { status: 400 } : { tool: { name: 'look', arguments: '{}' } }
  await started()
  await chat('A tool')
  upstream.reply = (body) => (body.model === 'big' ? { status: 400 } : { text: 'fine' })
  await chat('It fails')
  await counted('failed')
  expect(asked('big')).toHaveLength(1)
})

test('personal data is taken out where that is configured', async () => {
  await started({ redact: true })
  await chat('Write to ann@example.org')
  await counted('judged')
  expect(asked('small')[0]!.messages[0]!.content).toContain('ann@example.org')
  expect(JSON.stringify([...asked('big'), ...asked('judge')])).not.toContain('ann@example.org')
})

test.each([
  [
    { models: ['big', 'huge'] },
    {},
    /shadow_answers\.models\[1\]: expected one of big, small, judge/,
  ],
  [{ judge: 'big' }, {}, /shadow_answers\.judge: expected a model that is not judged/],
])('a section that cannot work is refused: %j', async (shadow, gateway, message) => {
  await expect(started(shadow, gateway)).rejects.toThrow(message)
})

test('the audit log says which traffic goes to further models, and for how much', async () => {
  const who = { user: 'ann', host: 'here', process: 1 }
  await started({ share: 0.02, redact: true }, {}, { who })
  const { records } = await verifyAudit(join(root, 'log'))
  expect(records).toMatchObject([
    {
      event: 'shadow_answers_on',
      name: 'judge',
      why: 'start',
      who,
      detail:
        '2% of the answered chats also to one of big, small and both answers to judge, for at most $5 a day, redacted',
    },
  ])
})
