import { Command } from 'commander'
import { openTerminal } from '../../terminal/terminal.ts'
import { addAuditCommands } from './policy-audit.ts'

interface ExplainOptions {
  readonly bundle?: string
  readonly key: string
  readonly model: string
  readonly session?: string
  readonly metadata?: string
  readonly tag?: string[]
  readonly json?: boolean
}

/** `weir policy check|explain`: finds what is wrong with a policy file, and shows what it does with a prompt. */
export function policyCommand(): Command {
  const often = (value: string, before: string[] = []): string[] => [...before, value]
  const policy = new Command('policy').description(
    'check, try, propose, approve and compare policies',
  )
  policy
    .command('check')
    .description('list everything that is wrong with a policy file, by line; exit 2 if anything is')
    .argument('<file>', 'YAML or JSON')
    .option('--json', 'print the faults as JSON')
    .addHelpText('after', '\nExample:\n  weir policy check docs/examples/policy.yaml')
    .action(check)
  policy
    .command('explain')
    .description(
      'show what each step does with a prompt, which one decides, and which models are asked',
    )
    .argument('<file>', 'YAML or JSON')
    .argument('<prompt>', 'one user message')
    .option(
      '--bundle <folder>',
      'bundle of the learned router; without it the learned step is skipped',
    )
    .option('--model <name>', 'the model that the client names', 'weir')
    .option('--key <name>', 'name of the API key that the request is sent with', 'anyone')
    .option('--session <id>', 'session that the request belongs to')
    .option('--metadata <json>', 'metadata of the request, such as {"tier": "free"}')
    .option('--tag <tag>', 'tag of the request; may be given several times', often)
    .option('--json', 'print the plan as JSON')
    .addHelpText(
      'after',
      '\nExample:\n  weir policy explain docs/examples/policy.yaml "def f(x): what does it do?"',
    )
    .action(explain)
  addAuditCommands(policy)
  return policy
}

async function check(path: string, options: { readonly json?: boolean }): Promise<void> {
  const { faultError, policyFaults } = await import('../../../serving/policy/check.ts')
  const { parseSource } = await import('../../../core/yaml-source.ts')
  const terminal = openTerminal()
  const source = parseSource(await readText(path), path)
  const faults = policyFaults(source)
  if (options.json) terminal.json({ path, hash: source.hash, faults })
  else {
    for (const fault of faults) terminal.print(faultError(fault, path).message)
    if (faults.length === 0) {
      terminal.print(`${path} is valid (${source.hash})`)
      terminal.print(`Next: weir policy explain ${path} "Prove that sqrt(2) is irrational."`)
    }
  }
  if (faults.length > 0) process.exitCode = 2
}

async function explain(path: string, prompt: string, options: ExplainOptions): Promise<void> {
  const { checkPolicy } = await import('../../../serving/policy/check.ts')
  const { explainPolicy } = await import('../explain-policy.ts')
  const terminal = openTerminal()
  const checked = checkPolicy(await readText(path), path)
  const request = {
    id: 'explain',
    body: { model: options.model, messages: [{ role: 'user', content: prompt }] },
    caller: { name: options.key },
    headers: {},
    hints: {
      metadata: { ...(await metadataOf(options.metadata)), tags: options.tag ?? [] },
      ...(options.session === undefined ? {} : { session_id: options.session }),
    },
    time: Date.now(),
  }
  const plan = await explainPolicy(checked, request, options.bundle)
  if (options.json) {
    terminal.json(plan)
    return
  }
  for (const { step, matched, name, reason } of plan.steps ?? []) {
    const why = reason === undefined ? '' : ` (${reason})`
    terminal.print(`${step.padEnd(16)}${matched ? (name ?? 'matched') : '-'}${why}`)
  }
  const { step, reason, name } = plan.deciding
  terminal.print(`decided by: ${step}${name ? ` ${name}` : ''} (${reason})`)
  if (plan.kind === 'refuse') terminal.print(`refused: ${plan.message}`)
  else {
    const { kind } = plan.strategy
    const models = plan.targets.map(({ model }) => model)
    if (kind === 'ensemble') terminal.print(`asks at once: ${models.join(', ')} (ensemble)`)
    else terminal.print(`asks: ${models.join(', then ')}${kind === 'single' ? '' : ` (${kind})`}`)
    if (plan.propensity < 1)
      terminal.print(`probability of this model: ${plan.propensity.toFixed(3)}`)
  }
  if (options.bundle === undefined && checked.file.learned) {
    terminal.note('without --bundle, the learned step is skipped')
  }
}

async function metadataOf(text: string | undefined): Promise<Record<string, unknown>> {
  if (text === undefined) return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // told below
  }
  const { WeirError } = await import('../../../core/errors.ts')
  const expected = 'a JSON object'
  throw new WeirError('option_invalid', { option: '--metadata', expected, got: text })
}

async function readText(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { WeirError } = await import('../../../core/errors.ts')
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
}
