import type { ChildProcess } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { middle } from '../figures.ts'
import { SOURCE, startServer } from '../load.ts'
import { type Contender, weirCommand } from './contenders.ts'
import { CHATS, failures, measure } from './round.ts'

export interface ApiOptions {
  readonly prompts: readonly string[]
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  readonly onRound: (done: number, total: number) => void
}

/** What is compared: an API, and the upstream that the server has behind it. */
const CASES = [
  { name: 'chat', path: CHATS, upstream: 'chats' },
  { name: 'responses_as_chats', path: '/v1/responses', upstream: 'chats' },
  { name: 'messages_as_chats', path: '/v1/messages', upstream: 'chats' },
  { name: 'responses', path: '/v1/responses', upstream: 'responses' },
  { name: 'messages', path: '/v1/messages', upstream: 'messages' },
] as const

const UPSTREAMS = {
  /** responses and messages are translated for it */
  chats: { responses: false },
  responses: { responses: true },
  messages: { kind: 'anthropic' },
} as const

/** Microseconds of processor time of a routed request, the middle of the rounds, by what is compared. */
export async function measureApis(
  folder: string,
  options: ApiOptions,
): Promise<Map<string, number>> {
  const { prompts, rounds, seconds, connections, onRound } = options
  const children: ChildProcess[] = []
  try {
    const upstream = await startServer(
      1,
      [...SOURCE, join(import.meta.dirname, 'upstream.ts')],
      children,
    )
    const servers = new Map<string, Contender>()
    for (const [name, settings] of Object.entries(UPSTREAMS)) {
      const own = join(folder, name)
      await mkdir(own)
      const command = await weirCommand(own, upstream.url, settings)
      servers.set(name, { ...(await startServer(0, command, children)), headers: [] })
    }
    const times = new Map<string, number[]>(CASES.map(({ name }) => [name, []]))
    const bodies = new Map<string, string>()
    for (const { path } of CASES) {
      const file = join(folder, `${path.replaceAll('/', '-')}.jsonl`)
      await writeFile(
        file,
        prompts.map((prompt) => `${JSON.stringify(bodyFor(path, prompt))}\n`).join(''),
      )
      bodies.set(path, file)
    }
    for (let round = -1; round < rounds; round++) {
      onRound(Math.max(0, round), rounds)
      for (const { name, path, upstream: behind } of CASES) {
        const run = { path, bodies: bodies.get(path)!, connections, seconds }
        const result = await measure(servers.get(behind)!, run)
        if (result.failed > (result.codes.overloaded ?? 0)) {
          throw new Error(`${name}: there failed ${failures([result])}`)
        }
        // the first round warms the servers
        if (round >= 0) times.get(name)!.push(result.cpuMicroseconds)
      }
    }
    return new Map([...times].map(([name, its]) => [name, middle(its)]))
  } finally {
    for (const child of children) child.kill('SIGTERM')
  }
}

/** The same question in each API. */
function bodyFor(path: string, prompt: string): object {
  const model = 'weir/default'
  switch (path) {
    case '/v1/responses':
      return { model, input: prompt }
    case '/v1/messages':
      return { model, max_tokens: 400, messages: [{ role: 'user', content: prompt }] }
    default:
      return { model, messages: [{ role: 'user', content: prompt }] }
  }
}
