import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const WEIR = join(import.meta.dirname, '../../dist/scripts/weir.js')

/** Starts the built command, which prints its console's address as JSON. */
export async function startWeir(
  args: readonly string[],
): Promise<{ readonly console: string; stop(): Promise<void> }> {
  const child = spawn(process.execPath, [WEIR, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(child, 'exit')
  const first = await Promise.race([
    once(createInterface({ input: child.stdout }), 'line'),
    exit.then(() => undefined),
  ])
  if (!first) throw new Error(`weir ${args.join(' ')} ended before it served`)
  const { console } = JSON.parse(String(first[0])) as { console: string }
  return {
    console,
    async stop() {
      child.kill('SIGTERM')
      await exit
    },
  }
}
