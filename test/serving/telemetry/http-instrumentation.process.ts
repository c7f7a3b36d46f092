import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { writeBundle } from '../../../models/bundle/write.ts'
import { built, ROOT } from '../../built/build.ts'
import { lexicalDraft } from '../../scripts/lexical-draft.ts'
import { startServing } from '../../scripts/weir-process.ts'
import { type ScriptedUpstream, scriptedUpstream } from '../upstreams/scripted-upstream.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'

/** As an operator registers the SDK, but for the exporter, which writes lines. */
const register = (file: string): string => `
import { appendFileSync } from 'node:fs'
import { createRequire } from 'node:module'
const require = createRequire('${ROOT}/package.json')
const { registerInstrumentations } = require('@opentelemetry/instrumentation')
const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
const { NodeTracerProvider, SimpleSpanProcessor } = require('@opentelemetry/sdk-trace-node')
const exporter = {
  export(spans, done) {
    for (const span of spans) {
      const { name, kind, attributes, parentSpanContext: parent } = span
      const line = { name, kind, attributes, parent: parent?.spanId, ...span.spanContext() }
      appendFileSync(${JSON.stringify(file)}, JSON.stringify(line) + '\\n')
    }
    done({ code: 0 })
  },
  shutdown: async () => {},
}
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }).register()
registerInstrumentations({ instrumentations: [new HttpInstrumentation()] })
`

let root: string
let upstream: ScriptedUpstream
const started: ChildProcess[] = []
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-otel-'))
  await writeBundle(root, await lexicalDraft(0.5))
  upstream = await scriptedUpstream()
})
afterAll(async () => {
  for (const child of started) child.kill('SIGKILL')
  await upstream.close()
  await rm(root, { recursive: true })
})

test('with HTTP instrumentation its span is the request’s: no second one, and the rest below it', async () => {
  const lines = join(root, 'spans.jsonl')
  const module = join(root, 'otel.mjs')
  await writeFile(module, register(lines))
  const model = { upstreams: [{ upstream: 'one' }] }
  const config = join(root, 'weir.json')
  await writeFile(
    config,
    JSON.stringify({
      gateway: {
        upstreams: { one: { base_url: upstream.url } },
        models: { big: model, small: model },
      },
    }),
  )
  const { url, child } = await startServing(
    ['--import', module, join(built(), 'scripts/weir.js')],
    [join(root, 'cli'), '--config', config, '--port', '0', '--spans'],
    started,
  )
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', traceparent: `00-${TRACE}-${PARENT}-01` },
    body: JSON.stringify({ model: 'weir', messages: [{ role: 'user', content: 'prove it' }] }),
  })
  expect(response.status).toBe(200)
  await response.text()
  child.kill('SIGTERM')
  await once(child, 'exit')
  const spans = (await readFile(lines, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const named = (name: string) => spans.filter((span) => span.name === name)
  const [request, ...others] = named('POST')
  expect(others).toEqual([])
  expect(request).toMatchObject({ kind: 1, parent: PARENT, traceId: TRACE })
  const [plan] = named('plan')
  expect(plan).toMatchObject({ parent: request?.spanId, traceId: TRACE })
  expect(named('route')).toMatchObject([{ parent: plan?.spanId }])
  const [asked] = spans.filter(({ kind }) => kind === 2)
  expect(asked).toMatchObject({ parent: request?.spanId, traceId: TRACE })
  expect(upstream.received[0]?.headers.traceparent).toBe(`00-${TRACE}-${asked?.spanId}-01`)
})
