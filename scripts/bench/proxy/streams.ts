import { Pool } from 'undici'

/**
 * Opens streams at once, in a separate process: `streams.ts <url> <streams> <body>`. Prints the median and
 * 99th percentile of the time to the first token, how many streams were complete, and the results of the
 * others (`503`, or `cut` if a stream ended early), as one line of JSON.
 */
const [url, streams, body] = process.argv.slice(2)
const count = Number(streams)
const pool = new Pool(url!, { connections: count })

const broken: Record<string, number> = {}
const breaks = (how: string): undefined => {
  broken[how] = (broken[how] ?? 0) + 1
}

async function once(): Promise<number | undefined> {
  const started = performance.now()
  const { statusCode, body: answer } = await pool.request({
    method: 'POST',
    path: '/v1/chat/completions',
    headers: { 'content-type': 'application/json' },
    body: body!,
  })
  let first: number | undefined
  let tail = ''
  for await (const packet of answer) {
    tail = (tail + String(packet)).slice(-200)
    if (first === undefined && tail.includes('word')) first = performance.now() - started
  }
  if (statusCode !== 200) return breaks(String(statusCode))
  return tail.includes('[DONE]') ? first : breaks('cut')
}

// connections first, so that opening them is not measured
await Promise.all(Array.from({ length: count }, once))
for (const how of Object.keys(broken)) delete broken[how]
const times: number[] = []
// spread over the interval between tokens, as real callers would be
const all = await Promise.all(
  Array.from({ length: count }, async (_, i) => {
    await new Promise((resolve) => setTimeout(resolve, i * 5))
    return once()
  }),
)
for (const time of all) if (time !== undefined) times.push(time)
times.sort((a, b) => a - b)
const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN
await pool.close()
process.stdout.write(
  `${JSON.stringify({ whole: times.length, broken, p50Ms: at(0.5), p99Ms: at(0.99) })}\n`,
)
