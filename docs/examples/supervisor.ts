// A supervisor over the experts of specialists.yaml: it takes a request apart, asks the experts side by side
// through weir's endpoint, and joins what they say.
//   weir serve bundles/demo --config docs/examples/servers/server.yaml --policy docs/examples/specialists.yaml
//   npx tsx docs/examples/supervisor.ts "Prove that 0.1 + 0.2 != 0.3 in binary floats and show it in Python."
import { pathToFileURL } from 'node:url'

const EXPERTS = ['code', 'maths', 'general'] as const
const MOST_STEPS = 5

interface Step {
  readonly expert: (typeof EXPERTS)[number]
  readonly question: string
}

export interface Finding extends Step {
  /** undefined where the expert failed */
  readonly answer: string | undefined
}

export interface Supervised {
  readonly answer: string
  readonly findings: readonly Finding[]
  /** US dollars, as far as weir knows the prices */
  readonly usd: number
}

export interface SupervisorOptions {
  /** of weir, with `/v1` */
  readonly url: string
  readonly key?: string
  readonly signal?: AbortSignal
}

const PLAN = `Take the user's request apart into at most ${MOST_STEPS} questions that can be answered on their own, each for one expert of: ${EXPERTS.join(', ')}. Reply with JSON alone: {"steps": [{"expert": "NAME", "question": "TEXT"}]}`
const JOIN =
  "Answer the user's request from the experts' findings, which are quoted as JSON. Say what is missing where an expert failed."

/** Plans, asks in parallel, joins. A plan that is none leaves the whole request to weir's own routing. */
export async function supervise(request: string, options: SupervisorOptions): Promise<Supervised> {
  let usd = 0
  const ask = async (model: string, system: string | undefined, user: string): Promise<string> => {
    const response = await fetch(`${options.url}/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(options.key === undefined ? {} : { authorization: `Bearer ${options.key}` }),
      },
      body: JSON.stringify({
        model,
        messages: [
          ...(system === undefined ? [] : [{ role: 'system', content: system }]),
          { role: 'user', content: user },
        ],
      }),
      ...(options.signal ? { signal: options.signal } : {}),
    })
    const body = (await response.json()) as {
      error?: { message: string }
      choices?: { message: { content: string | null } }[]
    }
    if (!response.ok) throw new Error(body.error?.message ?? `HTTP ${response.status}`)
    usd += Number(response.headers.get('x-weir-cost-usd') ?? 0)
    return body.choices?.[0]?.message.content ?? ''
  }

  const steps = stepsIn(await ask('weir/general', PLAN, request))
  if (steps.length === 0) {
    return { answer: await ask('weir', undefined, request), findings: [], usd }
  }
  const answers = await Promise.allSettled(
    steps.map(({ expert, question }) => ask(`weir/${expert}`, undefined, question)),
  )
  const findings = steps.map((step, i): Finding => {
    const answer = answers[i]!
    return { ...step, answer: answer.status === 'fulfilled' ? answer.value : undefined }
  })
  const answer = await ask('weir/general', JOIN, JSON.stringify({ request, findings }))
  return { answer, findings, usd }
}

/** The steps of a plan; none where it is not exactly what was asked for. */
function stepsIn(plan: string): Step[] {
  try {
    const { steps } = JSON.parse(plan) as { steps: readonly Step[] }
    const valid = steps.every(
      ({ expert, question }) => EXPERTS.includes(expert) && typeof question === 'string',
    )
    return valid && steps.length <= MOST_STEPS ? [...steps] : []
  } catch {
    return []
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { WEIR_URL: url = 'http://127.0.0.1:8080/v1', WEIR_KEY: key } = process.env
  const request = process.argv.slice(2).join(' ')
  try {
    if (request === '') throw new Error('expected a request, such as "Prove that ..."')
    const { answer, findings, usd } = await supervise(request, { url, ...(key ? { key } : {}) })
    for (const { expert, question } of findings) console.error(`${expert}: ${question}`)
    console.log(answer)
    console.error(`$${usd.toFixed(6)}`)
  } catch (error) {
    const { message, cause } = error as Error
    console.error([message, (cause as Error | undefined)?.message].filter(Boolean).join(': '))
    process.exitCode = 1
  }
}
