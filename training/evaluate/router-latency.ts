import type { Router } from '../../models/router.ts'
import type { LatencyReport } from './report.ts'

const WARM_UP = 10
const MEASURED = 200
const MOST_MS = 5_000
/** US dollars of one core for an hour, a round figure of what clouds charge for small machines */
const CORE_HOUR_USD = 0.04

/** One prompt at a time, as a server would be asked, encoder included. At most five seconds. */
export async function measureLatency(
  router: Pick<Router, 'score'>,
  prompts: readonly string[],
  signal?: AbortSignal,
): Promise<LatencyReport> {
  const step = Math.max(1, Math.floor(prompts.length / MEASURED))
  const chosen = prompts.filter((_, i) => i % step === 0).slice(0, MEASURED)
  for (const prompt of chosen.slice(0, WARM_UP)) await router.score([prompt], signal)
  const times: number[] = []
  const cpu = process.cpuUsage()
  const started = performance.now()
  for (const prompt of chosen) {
    const from = performance.now()
    await router.score([prompt], signal)
    times.push(performance.now() - from)
    if (performance.now() - started > MOST_MS) break
  }
  const used = process.cpuUsage(cpu)
  const sorted = times.sort((a, b) => a - b)
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]!
  const cpuHours = (used.user + used.system) / 1e6 / 3600 / sorted.length
  return {
    prompts: sorted.length,
    p50_ms: at(0.5),
    p99_ms: at(0.99),
    dollars_per_1k: cpuHours * CORE_HOUR_USD * 1000,
    core_hour_usd: CORE_HOUR_USD,
  }
}
