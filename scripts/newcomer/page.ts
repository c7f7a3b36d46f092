/** A fenced block of a Markdown page. */
export interface Block {
  readonly language: string
  /** of a block that is a file: ```` ```yaml [weir.yaml] ```` */
  readonly file: string | undefined
  readonly text: string
  /** of its first line in the page, counted from 1 */
  readonly line: number
}

/** A command of a page and what the page prints below it. */
export interface Command {
  readonly text: string
  /** goes on while the commands after it run */
  readonly background: boolean
  /** lines that must be among those it prints, in this order; none where the page prints nothing */
  readonly expected: readonly string[]
  readonly line: number
}

/** The fenced blocks of a page, in order. */
export function blocksOf(markdown: string): Block[] {
  const blocks: Block[] = []
  const lines = markdown.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const [, mark, info] = lines[i]!.match(/^(`{3,})\s*(.*)$/) ?? []
    if (mark === undefined) continue
    const end = lines.findIndex((line, at) => at > i && line.startsWith(mark))
    if (end < 0) throw new Error(`line ${i + 1}: this block does not end`)
    const [, language = '', file] = info!.match(/^(\S*)(?:\s+\[(.+)\])?/) ?? []
    blocks.push({ language, file, text: lines.slice(i + 1, end).join('\n'), line: i + 2 })
    i = end
  }
  return blocks
}

/** A server goes on, and so does what the page runs "in another terminal". */
const BACKGROUND = /^(?:npx )?weir serve\b|^npm run stand-in\b|# in another terminal$/

/**
 * The commands of a block: every one of a `sh` block, those behind `$ ` of a `console` block. A command goes on
 * in the next line behind a backslash and inside quotes.
 */
export function commandsOf({ language, text, line }: Block): Command[] {
  const commands: Command[] = []
  const lines = text.split('\n')
  for (let i = 0; i < lines.length; i++) {
    const first = i
    let command = lines[i]!
    if (language === 'console') {
      if (!command.startsWith('$ ')) throw new Error(`line ${line + i}: expected a command`)
      command = command.slice(2)
    }
    if (/^\s*(?:#.*)?$/.test(command)) continue
    while (isOpen(command) && i + 1 < lines.length) command += `\n${lines[++i]}`
    const expected: string[] = []
    while (language === 'console' && i + 1 < lines.length && !lines[i + 1]!.startsWith('$ ')) {
      expected.push(lines[++i]!)
    }
    commands.push({
      text: command,
      background: BACKGROUND.test(command),
      expected: expected.filter((each) => !/^(?:\.\.\.)?$/.test(each.trim())),
      line: line + first,
    })
  }
  return commands
}

const isOpen = (command: string): boolean =>
  command.endsWith('\\') || command.replace(/\\./g, '').split("'").length % 2 === 0

/** What differs from run to run or from machine to machine: hashes and ids. */
const HASH = /\b(?=[0-9a-f]*\d)[0-9a-f]{12,}\b/g
const NUMBER = /-?\d[\d,]*(?:\.\d+)?|-?\.\d+/g

/**
 * The first of the expected lines that is not among the printed ones, each behind the one before it; undefined if
 * all are there. A line that ends in ` ...` says how a printed one begins. Numbers may differ by 3% or .02:
 * processors round differently.
 */
export function missingLine(
  expected: readonly string[],
  printed: readonly string[],
): string | undefined {
  let at = 0
  for (const line of expected) {
    while (at < printed.length && !sameLine(line, printed[at]!)) at++
    if (at === printed.length) return line
    at++
  }
  return undefined
}

function sameLine(expected: string, printed: string): boolean {
  const start = expected.endsWith(' ...')
  const wanted = plain(start ? expected.slice(0, -4) : expected)
  const got = plain(printed)
  const shape = wanted.replace(NUMBER, '0')
  const gotShape = got.replace(NUMBER, '0')
  if (start ? !gotShape.startsWith(shape) : gotShape !== shape) return false
  const numbers = (text: string): number[] =>
    (text.match(NUMBER) ?? []).map((number) => Number(number.replaceAll(',', '')))
  const found = numbers(got)
  return numbers(wanted).every(
    (number, i) => Math.abs(number - found[i]!) <= Math.max(0.02, 0.03 * Math.abs(number)),
  )
}

const plain = (line: string): string => line.replace(HASH, 'hash').replace(/\s+/g, ' ').trim()
