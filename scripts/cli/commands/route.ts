import { Value } from 'typebox/value'
import { definedOnly } from '../../../core/defined.ts'
import { WeirError } from '../../../core/errors.ts'
import { firstFault } from '../../../core/schema-fault.ts'
import { type Explanation, RouteRequest } from '../../../models/decision/decision.ts'
import { openTerminal, score, type Terminal, table } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import {
  type Flags,
  metadataOption,
  optionTable,
  pairOption,
  Share,
  Switch,
  Text,
} from '../options.ts'

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
    help: 'print the text that was read and the features that moved the win rate',
  },
  messages: {
    flag: '--messages',
    schema: Switch,
    help: 'the prompt is JSON: a list of chat messages, or {messages, system, tools} as in POST /route',
  },
  metadata: {
    flag: '--metadata <json>',
    schema: Text,
    help: 'metadata of the request, of which the router reads its declared context, such as {"tier": "free"}',
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
    const asked = options.messages ? conversationOf(text) : { prompt: text }
    const metadata = options.metadata === undefined ? undefined : metadataOption(options.metadata)
    const decision = await router.route({
      ...asked,
      ...definedOnly({ threshold, explain, metadata }),
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
  const { features, neighbours = [], neighbourhood, note, observational, read } = explanation
  if (read !== undefined) terminal.print(`\nRead:\n${indented(read)}\n`)
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

const indented = (text: string): string => text.replace(/^/gm, '  ')

/** @throws option_invalid, request_invalid */
function conversationOf(text: string): RouteRequest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new WeirError(
      'option_invalid',
      { option: '--messages', expected: 'JSON as the prompt', got: text.slice(0, 60) },
      { cause },
    )
  }
  const request = Array.isArray(value) ? { messages: value } : value
  if (Value.Check(RouteRequest, request)) return request
  const { field, expected, got } = firstFault(Value.Errors(RouteRequest, request), request)
  throw new WeirError('request_invalid', { where: field, expected, got })
}

/** Standard input as text. @throws option_invalid if it is larger than a server's request may be, or not UTF-8 */
async function readInput(): Promise<string> {
  const { BODY_LIMIT } = await import('../../../core/json/body.ts')
  const { isUtf8 } = await import('node:buffer')
  const refused = (expected: string, got: string): WeirError =>
    new WeirError('option_invalid', { option: '<prompt>', expected, got })
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    size += chunk.length
    if (size > BODY_LIMIT) {
      throw refused(`at most ${BODY_LIMIT} bytes on standard input`, 'more')
    }
  }
  const bytes = Buffer.concat(chunks)
  if (!isUtf8(bytes)) throw refused('UTF-8 on standard input', 'other bytes')
  return bytes.toString()
}
