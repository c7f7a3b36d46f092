import type { Command } from 'commander'
import { openTerminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable } from '../options.ts'

const OPTIONS = optionTable({ json: jsonOption('what may follow each command') })

type Commands = Readonly<Record<string, () => Promise<Command>>>

/**
 * `weir completion <shell>`: a script that completes commands and options.
 *
 * @param commands all of `weir`, by name
 */
export const completionCommand = (commands: Commands): Command =>
  defineCommand({
    name: 'completion',
    description: 'print a script that completes weir’s commands and options: bash, zsh or fish',
    arguments: [['<shell>', 'bash, zsh or fish']],
    options: OPTIONS,
    examples: [
      'weir completion bash > /etc/bash_completion.d/weir',
      'source <(weir completion zsh)',
      'weir completion fish > ~/.config/fish/completions/weir.fish',
    ],
    async run(shell, flags: Flags<typeof OPTIONS>) {
      const words = await wordsByCommand(commands)
      if (flags.json) {
        openTerminal().json(Object.fromEntries(words))
        return
      }
      const script = Object.hasOwn(SHELLS, shell) ? SHELLS[shell as keyof typeof SHELLS] : undefined
      if (!script) {
        const { WeirError } = await import('../../../core/errors.ts')
        const expected = `one of ${Object.keys(SHELLS).join(', ')}`
        throw new WeirError('option_invalid', { option: 'the shell', expected, got: shell })
      }
      openTerminal().print(script(words))
    },
  })()

/** What may follow each command (`''`, `train`, `data ingest`): subcommands and options. */
async function wordsByCommand(commands: Commands): Promise<Words> {
  const words = new Map<string, readonly string[]>([['', Object.keys(commands)]])
  const add = (path: string, command: Command): void => {
    const options = command.options.flatMap(({ long }) => long ?? [])
    words.set(path, [...command.commands.map((one) => one.name()), ...options, '--help'])
    for (const one of command.commands) add(`${path} ${one.name()}`, one)
  }
  for (const [name, load] of Object.entries(commands)) add(name, await load())
  return words
}

type Words = ReadonlyMap<string, readonly string[]>

const bashCases = (words: Words): string =>
  [...words].map(([path, all]) => `    '${path}') words='${all.join(' ')}' ;;`).join('\n')

/** The commands typed so far are looked up with the last one, two, or none of them. */
const bash = (words: Words): string => `_weir() {
  local current="\${COMP_WORDS[COMP_CWORD]}" first="\${COMP_WORDS[1]}" second="\${COMP_WORDS[2]}" at='' words=''
  [ "$COMP_CWORD" -gt 1 ] && at="$first"
  case "$first $second" in ${
    [...words.keys()]
      .filter((path) => path.includes(' '))
      .map((path) => `'${path}'`)
      .join('|') || "''"
  }) [ "$COMP_CWORD" -gt 2 ] && at="$first $second" ;; esac
  case "$at" in
${bashCases(words)}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
  [ \${#COMPREPLY[@]} -eq 0 ] && COMPREPLY=($(compgen -f -- "$current"))
}
complete -o filenames -F _weir weir`

const SHELLS = {
  bash,
  zsh: (words: Words) => `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`,
  fish: (words: Words) =>
    [...words]
      .flatMap(([path, all]) => {
        const when =
          path === ''
            ? '__fish_use_subcommand'
            : path
                .split(' ')
                .map((name) => `__fish_seen_subcommand_from ${name}`)
                .join('; and ')
        return all.map((word) =>
          word.startsWith('--')
            ? `complete -c weir -n '${when}' -l ${word.slice(2)}`
            : `complete -c weir -n '${when}' -a ${word}`,
        )
      })
      .join('\n'),
} as const
