import { emitKeypressEvents } from 'node:readline'
import { printable } from '../../core/printable.ts'
import type { Choice, LabelTask } from './label.ts'

/** Widest columns and narrowest screen for two answers beside each other. */
const WIDEST = 100
const NARROWEST = 80
const GAP = ' │ '

/** Text as lines of at most `width` characters, broken at blanks where there are any. */
export function wrapped(text: string, width: number): string[] {
  return text.split('\n').flatMap((line) => {
    const lines: string[] = []
    let rest = printable(line.trimEnd())
    while (rest.length > width) {
      const blank = rest.lastIndexOf(' ', width)
      const at = blank > width / 2 ? blank : width
      lines.push(rest.slice(0, at))
      rest = rest.slice(at).trimStart()
    }
    return [...lines, rest]
  })
}

/** A task as it is shown: the conversation, then both answers side by side, or below each other on a narrow screen. */
export function taskLines({ prompt, answers }: LabelTask, columns: number): string[] {
  const rule = '─'.repeat(Math.min(columns, 2 * WIDEST))
  const head = [rule, ...wrapped(prompt, Math.min(columns, 2 * WIDEST)), rule]
  const [first, second] = answers
  if (columns < NARROWEST) {
    return [
      ...head,
      '[1]',
      ...wrapped(first, columns),
      rule,
      '[2]',
      ...wrapped(second, columns),
      rule,
    ]
  }
  const width = Math.min(WIDEST, Math.floor((columns - GAP.length) / 2))
  const left = ['[1]', ...wrapped(first, width)]
  const right = ['[2]', ...wrapped(second, width)]
  const both = Array.from({ length: Math.max(left.length, right.length) }, (_, i) =>
    `${(left[i] ?? '').padEnd(width)}${GAP}${right[i] ?? ''}`.trimEnd(),
  )
  return [...head, ...both, rule]
}

/** What a key does. */
export type Command = Choice | 'skip' | 'undo' | 'quit'

const KEYS: Readonly<Record<string, Command>> = {
  ...{ '1': '1', left: '1', '2': '2', right: '2' },
  ...{ '3': 'tie', t: 'tie', '=': 'tie', down: 'tie' },
  ...{ '4': 'both_bad', b: 'both_bad', '0': 'both_bad' },
  ...{ s: 'skip', space: 'skip', u: 'undo', backspace: 'undo', q: 'quit', escape: 'quit' },
}

export const KEY_HELP = '1 or ← first, 2 or → second, t tie, b both bad, s skip, u undo, q quit'

interface Key {
  readonly name?: string
  readonly sequence?: string
  readonly ctrl?: boolean
}

/**
 * Keys as they are pressed on a terminal; elsewhere one word per line, so that it can be driven by a pipe. Ends with the
 * input. Keys without a meaning are passed over.
 */
export async function* commandsOf(
  input: NodeJS.ReadableStream & { isTTY?: boolean; setRawMode?: (raw: boolean) => unknown },
): AsyncGenerator<Command> {
  if (!input.isTTY) {
    let rest = ''
    for await (const chunk of input) {
      const lines = `${rest}${chunk}`.split('\n')
      rest = lines.pop()!
      for (const line of lines) {
        const command = meant(line.trim().toLowerCase())
        if (command) yield command
      }
    }
    const last = meant(rest.trim().toLowerCase())
    if (last) yield last
    return
  }
  emitKeypressEvents(input)
  input.setRawMode?.(true)
  const pressed: Command[] = []
  let wake = (): void => {}
  const onKey = (_: string | undefined, { name, sequence, ctrl }: Key): void => {
    // in raw mode Ctrl-C is a key like any other
    const command =
      ctrl && (name === 'c' || name === 'd') ? 'quit' : (meant(name) ?? meant(sequence))
    if (command) pressed.push(command)
    wake()
  }
  input.on('keypress', onKey)
  input.resume()
  try {
    for (;;) {
      const next = pressed.shift()
      if (next) yield next
      else
        await new Promise<void>((resolve) => {
          wake = resolve
        })
    }
  } finally {
    input.off('keypress', onKey)
    input.setRawMode?.(false)
    input.pause()
  }
}

const meant = (key: string | undefined): Command | undefined =>
  key !== undefined && Object.hasOwn(KEYS, key) ? KEYS[key] : undefined

/**
 * Shows tasks and takes the person's choices until the tasks, the input or the person's patience end.
 *
 * @param save called with each choice; resolves once it is on disk
 * @param print shows one line
 */
export async function labelTasksBy(
  tasks: readonly LabelTask[],
  commands: AsyncIterable<Command>,
  {
    columns,
    print,
    save,
  }: {
    readonly columns: number
    readonly print: (line: string) => void
    readonly save: (task: LabelTask, choice: Choice) => Promise<void>
  },
): Promise<{ readonly labelled: number }> {
  let at = 0
  const labelled = new Set<number>()
  const show = (): void => {
    const task = tasks[at]
    if (!task) return
    for (const line of taskLines(task, columns)) print(line)
    print(`${at + 1} of ${tasks.length}   ${KEY_HELP}`)
  }
  show()
  if (tasks.length === 0) return { labelled: 0 }
  for await (const command of commands) {
    if (command === 'quit') break
    if (command === 'undo') at = Math.max(0, at - 1)
    else {
      if (command !== 'skip') {
        await save(tasks[at]!, command)
        labelled.add(at)
      }
      at++
    }
    if (at >= tasks.length) break
    show()
  }
  return { labelled: labelled.size }
}
