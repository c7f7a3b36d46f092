import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { SegmentFile } from '../../core/segments.ts'

/**
 * Lines of a collection's journal of calls. `call` is on disk before a model is asked, `done` or `failed` as soon as it has
 * answered; a call with neither was under way when its process was killed.
 */
const CallLine = Type.Object({
  object: Type.Literal('call'),
  id: Type.String(),
  model: Type.String(),
  /** milliseconds since 1970 */
  time: Type.Number(),
  /** the most that it can cost, in US dollars */
  most_usd: Type.Number(),
})
const DoneLine = Type.Object({
  object: Type.Literal('done'),
  id: Type.String(),
  /** the answer; '' if it only calls tools */
  text: Type.String(),
  /** the tools it calls, as text */
  calls: Type.Optional(Type.String()),
  finish: Type.Optional(Type.String()),
  /** US dollars of all attempts; the most it can cost if the upstream counted no tokens */
  cost_usd: Type.Number(),
  input_tokens: Type.Optional(Type.Number()),
  output_tokens: Type.Optional(Type.Number()),
  ms: Type.Number(),
})
const FailedLine = Type.Object({
  object: Type.Literal('failed'),
  id: Type.String(),
  code: Type.String(),
  reason: Type.String(),
  /** what its attempts may have cost */
  cost_usd: Type.Number(),
  /** whether asking once more can help, and was not paid before */
  again: Type.Boolean(),
})
const JournalLine = Type.Union([CallLine, DoneLine, FailedLine])
export type CallLine = Type.Static<typeof CallLine>
export type DoneLine = Type.Static<typeof DoneLine>
export type FailedLine = Type.Static<typeof FailedLine>

const check = Compile(JournalLine)

const SEGMENT = /^calls-(\d{6})\.jsonl$/

/** All calls of a collection, and the file where new ones are written. */
export class CallJournal {
  readonly #calls = new Map<string, CallLine>()
  readonly #ends = new Map<string, DoneLine | FailedLine>()
  readonly #folder: string
  #file: SegmentFile | undefined
  #next: number
  /** US dollars of all calls that ended */
  #ended = 0

  /** Reads the journal; a line that a crash cut off is left out, so that its call counts as under way. */
  constructor(folder: string) {
    this.#folder = folder
    const numbers = readdirSync(folder)
      .flatMap((name) => SEGMENT.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b)
    this.#next = (numbers.at(-1) ?? 0) + 1
    for (const n of numbers) {
      const lines = readFileSync(join(folder, segmentName(n)), 'utf8').split('\n')
      lines.pop()
      for (const text of lines) {
        const line = parsed(text)
        if (line) this.#take(line)
      }
    }
  }

  #take(line: CallLine | DoneLine | FailedLine): void {
    if (line.object === 'call') {
      this.#calls.set(line.id, line)
      // asked once more: what the attempts before may have cost stays counted
      this.#ends.delete(line.id)
      return
    }
    this.#ends.set(line.id, line)
    this.#ended += line.cost_usd
  }

  #write(line: CallLine | DoneLine | FailedLine): void {
    if (!this.#file) {
      this.#file = new SegmentFile(join(this.#folder, segmentName(this.#next)))
      this.#next++
    }
    this.#file.write(`${JSON.stringify(line)}\n`)
    this.#take(line)
  }

  /** Must be called before the model is asked. */
  begin(id: string, model: string, time: number, mostUsd: number): void {
    this.#write({ object: 'call', id, model, time, most_usd: mostUsd })
  }

  end(line: DoneLine | FailedLine): void {
    this.#write(line)
  }

  /** The answer of a call, or why it has none; undefined if it was not made or has not ended. */
  result(id: string): DoneLine | FailedLine | undefined {
    return this.#ends.get(id)
  }

  /** Calls that have not ended: under way, or cut off when a process was killed. */
  get open(): CallLine[] {
    return [...this.#calls.values()].filter(({ id }) => !this.#ends.has(id))
  }

  isOpen(id: string): boolean {
    return this.#calls.has(id) && !this.#ends.has(id)
  }

  /** US dollars of the calls that ended. */
  get spentUsd(): number {
    return this.#ended
  }

  close(): void {
    this.#file?.closeSynced()
    this.#file = undefined
  }
}

const segmentName = (n: number): string => `calls-${String(n).padStart(6, '0')}.jsonl`

function parsed(text: string): CallLine | DoneLine | FailedLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return check.Check(value) ? value : undefined
  } catch {
    return undefined
  }
}
