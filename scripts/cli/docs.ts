import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Command } from 'commander'
import { SpecCommand } from './command.ts'
import { COMMANDS } from './commands/index.ts'
import { defaultText, isRepeatable, type OptionRow } from './options.ts'

/** The page that `npm run docs:cli` writes; a test compares it with the commands' option tables. */
export const CLI_PAGE = fileURLToPath(new URL('../../docs/reference/cli.md', import.meta.url))

const HEAD = `# The weir command

Every command with its arguments and options. This page is generated from the option tables of the commands by
\`npm run docs:cli\`; do not edit it. \`weir COMMAND --help\` prints the same.

A command exits with 0 when it is done, with 1 when it could not do its work, with 2 when an option, argument or config
file is wrong, and with 70 when there is a bug in weir. Results go to standard output, and notes and progress to
standard error. With \`--json\` the result is one JSON object on one line.
`

/** The page for the current commands. */
export async function cliPage(): Promise<string> {
  const sections: string[] = []
  for (const load of Object.values(COMMANDS)) {
    const command = await load()
    const all = command instanceof SpecCommand ? [command] : command.commands
    const prefix = command instanceof SpecCommand ? 'weir' : `weir ${command.name()}`
    sections.push(...all.map((one) => section(prefix, one)))
  }
  return [HEAD, ...sections].join('\n')
}

function section(prefix: string, command: Command): string {
  if (!(command instanceof SpecCommand))
    throw new TypeError(`${command.name()} has no option table`)
  const { name, description, arguments: given, options, notes, examples } = command.spec
  const usage = [prefix, name, ...given.map(([argument]) => argument), '[options]'].join(' ')
  const rows = Object.values(options)
  const headings = [...new Set(rows.map((row) => row.section))]
  const parts = [
    `## ${prefix} ${name}`,
    `${capital(description)}.`,
    ['```', usage, '', ...examples, '```'].join('\n'),
    ...(given.length > 0
      ? [
          markdownTable(
            ['argument', 'what it is'],
            given.map(([one, help]) => [code(one), help]),
          ),
        ]
      : []),
    ...headings.map((heading) => {
      const under = rows.filter((row) => row.section === heading)
      const table = optionTable(under, 'config' in options)
      return heading === undefined ? table : `${heading}:\n\n${table}`
    }),
    ...(notes === undefined ? [] : [notes.includes('\n  ') ? `\`\`\`\n${notes}\n\`\`\`` : notes]),
  ]
  return `${parts.join('\n\n')}\n`
}

/** @param keyed whether the command reads a config file, whose keys then get a column */
function optionTable(rows: readonly OptionRow[], keyed: boolean): string {
  return markdownTable(
    ['option', ...(keyed ? ['config key'] : []), 'default', 'what it does'],
    rows.map((row) => [
      code(row.flag),
      ...(keyed ? [row.key === undefined ? '' : code(row.key)] : []),
      defaultText(row),
      `${row.help}${isRepeatable(row) ? ' (repeatable)' : ''}`,
    ]),
  )
}

const code = (text: string): string => `\`${text}\``
const capital = (text: string): string => `${text.charAt(0).toUpperCase()}${text.slice(1)}`

function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replace(/\|/g, '\\|').replace(/<(?=\w+>)/g, cell.startsWith('`') ? '<' : '&lt;')).join(' | ')} |`
  return [line(head), `|${head.map(() => '---').join('|')}|`, ...rows.map(line)].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(CLI_PAGE, await cliPage())
}
