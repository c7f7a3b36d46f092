import { definedOnly } from '../../../core/defined.ts'
import type { Explanation } from '../../../models/decision/decision.ts'
import { openTerminal, score, type Terminal, table } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, pairOption, Share, Switch, Text } from '../options.ts'

const OPTIONS = optionTable({
  threshold: {
    flag: '--threshold <number>',
    schema: Share,
    unset: 'the bundle’s',
    help: 'the threshold to use',
  },
  strong: {
    flag: '--strong <model>',
    schema: Text,
    help: 'with --weak: another pair of the bundle’s models than the trained one',
  },
  weak: { flag: '--weak <model>', schema: Text, help: 'the weak model of that pair' },
  explain: {
    flag: '--explain',
    schema: Switch,
    help: 'print the features that moved the win rate',
  },
  ...BUNDLE_OPTIONS,
  json: jsonOption('the decision'),
})

/** `weir route <bundle> <prompt>`: one decision, without a server. */
export const routeCommand = defineCommand({
  name: 'route',
  description: 'route one prompt with a bundle and print the decision',
  arguments: [
    ['<bundle>', 'bundle folder, such as bundles/demo'],
    ['<prompt>', 'the prompt; - reads it from standard input'],
  ],
  options: OPTIONS,
  examples: ['weir route bundles/demo "Prove that sqrt(2) is irrational."'],
  run: route,
})

async function route(
  bundle: string,
  prompt: string,
  options: Flags<typeof OPTIONS>,
): Promise<void> {
  const terminal = openTerminal()
  const { threshold, explain } = options
  const text = prompt === '-' ? await readInput() : prompt
  const router = await openRouter(
    bundle,
    options,
    definedOnly({ pair: pairOption(options.strong, options.weak) }),
  )
  try {
    const decision = await router.route({ prompt: text, ...definedOnly({ threshold, explain }) })
    if (options.json) {
      terminal.json(decision)
      return
    }
    terminal.print(
      `${decision.model}  win rate ${score(decision.win_rate ?? Number.NaN)}, threshold ${score(decision.threshold)}  (${decision.reason})`,
    )
    if (decision.explanation) printExplanation(terminal, decision.explanation)
  } finally {
    await router.close()
  }
}

function printExplanation(terminal: Terminal, explanation: Explanation): void {
  const { features, neighbours = [], neighbourhood, note, observational } = explanation
  for (const { name, contribution } of features) {
    terminal.print(`  ${contribution >= 0 ? '+' : ''}${contribution.toFixed(3)}  ${name}`)
  }
  if (neighbourhood) {
    const { win_rate: rate, others, prior } = neighbourhood
    const row = (weight: number, its: number, near: string, what: string): string[] => [
      `${(100 * weight).toFixed(1)}%`,
      score(its),
      near,
      what,
    ]
    terminal.print(`\nIts neighbours give ${score(rate)}:`)
    terminal.print(
      table([
        ['weight', 'win rate', 'cosine', 'training prompt'],
        ...neighbours.map(({ weight, win_rate: its, similarity, prompt_hash: hash, text }) =>
          row(weight, its, score(similarity), text?.replace(/\s+/g, ' ').slice(0, 60) ?? hash),
        ),
        row(others.weight, others.win_rate, '', `${others.count} others`),
        row(prior.weight, prior.win_rate, '', 'the prior'),
      ]),
    )
  }
  if (observational !== undefined) terminal.print(`\nThe router ${observational}.`)
  if (note !== undefined) terminal.note(note)
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
