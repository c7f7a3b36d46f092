import { Command } from 'commander'
import type { Explanation } from '../../../models/decision/decision.ts'
import { openTerminal, score, type Terminal, table } from '../../terminal/terminal.ts'

interface RouteOptions {
  readonly threshold?: string
  readonly strong?: string
  readonly weak?: string
  readonly explain?: boolean
  readonly json?: boolean
}

/** `weir route <bundle> <prompt>`: one decision, without a server. */
export function routeCommand(): Command {
  return new Command('route')
    .description('route one prompt with a bundle and print the decision')
    .argument('<bundle>', 'bundle folder, such as bundles/demo')
    .argument('<prompt>', 'the prompt; - reads it from standard input')
    .option('--threshold <number>', 'use this threshold instead of the bundle’s')
    .option('--strong <model>', 'another pair of the bundle’s models than the trained one')
    .option('--weak <model>', 'with --strong')
    .option('--explain', 'say which features moved the win rate')
    .option('--json', 'print the decision as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  weir route bundles/demo "Prove that sqrt(2) is irrational."',
    )
    .action(route)
}

async function route(bundle: string, prompt: string, options: RouteOptions): Promise<void> {
  const { loadRouter } = await import('../../../models/router.ts')
  const { numberOption, pairOption } = await import('../options.ts')
  const terminal = openTerminal()
  const threshold = numberOption('--threshold', options.threshold, { min: 0, max: 1 })
  const text = prompt === '-' ? await readInput() : prompt
  const pair = pairOption(options.strong, options.weak)
  const router = await loadRouter(bundle, pair ? { pair } : {})
  try {
    const decision = await router.route({
      prompt: text,
      ...(threshold === undefined ? {} : { threshold }),
      ...(options.explain ? { explain: true } : {}),
    })
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
  const { features, neighbours = [], neighbourhood, note } = explanation
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
  if (note !== undefined) terminal.note(note)
}

async function readInput(): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of process.stdin) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString('utf8')
}
