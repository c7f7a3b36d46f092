import { once } from 'node:events'
import { printable, printableCell } from '../../core/printable.ts'
import type { OnProgress, Progress } from '../../core/progress.ts'

/**
 * A command's output: results on stdout, everything else on stderr, so `--json` output can be piped. Nothing
 * else in the package writes there, so that no text of a log or bundle can control the terminal.
 */
export interface Terminal {
  /** A line of the result. */
  print(line: string): void
  /** The whole result as one JSON object. */
  json(value: unknown): void
  /** A note to the user, separate from the result. */
  note(line: string): void
  /**
   * Shows a stage once it has taken longer than a second: a live line on a terminal, else a line
   * every 5 s. A stage that does not report is shown with the time it has taken, as long as the process is free.
   */
  readonly onProgress: OnProgress
  /** Ends the live line. */
  endProgress(): void
}

/** Where a person answers questions: standard input, the prompt beside the results on stderr. */
export const keyboard = () =>
  ({
    input: process.stdin,
    output: process.stderr,
    /** whether somebody is there to answer */
    present: process.stdin.isTTY === true,
    /** of the screen, in characters */
    columns: process.stdout.columns ?? 100,
  }) as const

/** Asks on the terminal. Resolves to what was said, or to undefined if the input ends (Ctrl-D, Ctrl-C). */
export async function askPerson(
  question: string,
  { input, output }: Streams = keyboard(),
): Promise<string | undefined> {
  const { createInterface } = await import('node:readline/promises')
  const lines = createInterface({ input, output })
  const ended = once(lines, 'close').then(() => undefined)
  const said = await Promise.race([lines.question(question), ended])
  lines.close()
  return said?.trim()
}
interface Streams {
  readonly input: NodeJS.ReadableStream
  readonly output: NodeJS.WritableStream
}

const SHOW_AFTER_MS = 1000
const REDRAW_MS = 200
const PLAIN_EVERY_MS = 5000
const HEARTBEAT_MS = 1000

/** Shows a stage that does not report; one in the process, ended by whatever is written next. */
let heartbeat: NodeJS.Timeout | undefined
const endHeartbeat = (): void => {
  clearInterval(heartbeat)
  heartbeat = undefined
}

export function openTerminal(
  stdout: NodeJS.WritableStream = process.stdout,
  stderr: NodeJS.WritableStream & { isTTY?: boolean; columns?: number } = process.stderr,
  now: () => number = Date.now,
): Terminal {
  let latest: Progress | undefined
  let started = 0
  let drawn = 0
  let live = false
  const endProgress = (): void => {
    endHeartbeat()
    if (live) stderr.write('\n')
    live = false
    latest = undefined
  }
  const draw = (progress: Progress, ending = ''): void => {
    const time = now()
    const waited = stderr.isTTY ? REDRAW_MS : PLAIN_EVERY_MS
    if (time - started < SHOW_AFTER_MS || time - drawn < waited) return
    drawn = time
    const line = printableCell(progressLine(progress, (time - started) / 1000) + ending)
    if (!stderr.isTTY) {
      stderr.write(`${line}\n`)
      return
    }
    live = true
    stderr.write(`\r\u001b[K${line.slice(0, (stderr.columns ?? 80) - 1)}`)
  }
  const startHeartbeat = (): void => {
    heartbeat = setInterval(() => {
      if (latest) draw(latest, `, ${count(Math.round((now() - started) / 1000))} s so far`)
    }, HEARTBEAT_MS).unref()
  }
  return {
    print(line) {
      endHeartbeat()
      stdout.write(`${printable(line)}\n`)
    },
    json(value) {
      endHeartbeat()
      stdout.write(`${printable(JSON.stringify(value))}\n`)
    },
    note(line) {
      endProgress()
      stderr.write(`${printable(line)}\n`)
    },
    onProgress(progress) {
      if (progress.stage !== latest?.stage) {
        endProgress()
        started = now()
        drawn = 0
      }
      latest = progress
      const finished = progress.total !== undefined && progress.done >= progress.total
      if (finished) endHeartbeat()
      else if (!heartbeat) startHeartbeat()
      draw(progress)
    },
    endProgress,
  }
}

/** `encoding: 3,200 of 10,000 (32%), 1,050/s, 6 s left` */
export function progressLine(progress: Progress, seconds: number): string {
  const { stage, done, total, note } = progress
  const rate = seconds > 0 ? done / seconds : 0
  const parts = [
    total === undefined
      ? count(done)
      : `${count(done)} of ${count(total)} (${percent(done / total)})`,
  ]
  if (rate > 0) parts.push(rate >= 10 ? `${count(Math.round(rate))}/s` : `${rate.toFixed(1)}/s`)
  if (total !== undefined && rate > 0 && done < total) {
    parts.push(`${count(Math.ceil((total - done) / rate))} s left`)
  }
  if (note) parts.push(note)
  return `${stage}: ${parts.join(', ')}`
}

/** 12,345 */
export const count = (n: number): string => n.toLocaleString('en-US')
/** 32% */
export const percent = (share: number): string => `${Math.round(share * 100)}%`
/** .623, the usual format of scores */
export const score = (value: number): string =>
  Number.isFinite(value) ? value.toFixed(3).replace(/^(-?)0\./, '$1.') : 'undefined'

/** Columns padded to line up; the first row is the heading. Columns of numbers are right-aligned. */
export function table(cells: readonly (readonly string[])[]): string {
  // before they are measured: what is not printed as it is takes more room
  const rows = cells.map((row) => row.map(printableCell))
  const widths = (rows[0] ?? []).map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  )
  return rows
    .map((row) =>
      row
        .map((cell, column) => {
          const right = /^[-+]?[\d.,]+%?$/.test(cell)
          return right ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)
        })
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
