/**
 * One measured run, on plain Node and the build: `bare` cuts out every line of a file and parses it, keeping
 * nothing; `ingest` is what is compared with it; `query` ingests what the SQL given as path selects. Prints seconds, seconds of CPU and peak megabytes.
 */
import { createReadStream } from 'node:fs'

const [job, path, out] = process.argv.slice(2)

async function bareLoop() {
  let rows = 0
  let rest = Buffer.alloc(0)
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 18 })) {
    const bytes = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    let start = 0
    for (let end = bytes.indexOf(10); end >= 0; end = bytes.indexOf(10, start)) {
      if (JSON.parse(bytes.toString('utf8', start, end)).prompt) rows++
      start = end + 1
    }
    rest = bytes.subarray(start)
  }
  return rows
}

const ingest = job !== 'bare' ? (await import('../../../dist/data/ingest.js')).ingest : undefined
const started = performance.now()
const cpu = process.cpuUsage()
if (job === 'query') await ingest([], { out, seed: 1, query: { sql: path } })
else if (ingest) await ingest([path], { out, seed: 1 })
else await bareLoop()
const used = process.cpuUsage(cpu)
process.stdout.write(
  JSON.stringify({
    seconds: (performance.now() - started) / 1000,
    cpuSeconds: (used.user + used.system) / 1e6,
    peakMb: process.resourceUsage().maxRSS / 1024,
  }),
)
