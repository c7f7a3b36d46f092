import { definedOnly } from '../../../../core/defined.ts'
import { openTerminal } from '../../../terminal/terminal.ts'
import { BUNDLE_OPTIONS } from '../../bundle-access.ts'
import { defineCommand, defineGroup } from '../../command.ts'
import { jsonOption } from '../../log-options.ts'
import { type Flags, metadataOption, optionTable, Text, Texts } from '../../options.ts'
import { AUDIT_COMMANDS } from './audit.ts'
import { policyCompareCommand } from './compare.ts'

const CHECK_OPTIONS = optionTable({ json: jsonOption('the faults') })
const EXPLAIN_OPTIONS = optionTable({
  bundle: {
    flag: '--bundle <folder>',
    schema: Text,
    help: 'bundle of the learned router; without it, the learned step is skipped',
  },
  model: {
    flag: '--model <name>',
    schema: Text,
    default: 'weir',
    help: 'the model that the client asks for',
  },
  key: {
    flag: '--key <name>',
    schema: Text,
    default: 'anyone',
    help: 'name of the caller’s key',
  },
  session: { flag: '--session <id>', schema: Text, help: 'session of the request' },
  metadata: {
    flag: '--metadata <json>',
    schema: Text,
    help: 'metadata of the request, such as {"tier": "free"}',
  },
  tag: { flag: '--tag <tag>', schema: Texts, help: 'tag of the request' },
  ...BUNDLE_OPTIONS,
  json: jsonOption('the plan'),
})

/** `weir policy`: check, explain, propose, approve, audit and compare the gateway's policies. */
export const policyCommand = defineGroup(
  'policy',
  'check, explain, approve, audit and compare policy files',
  [
    defineCommand({
      name: 'check',
      description: 'list every fault of a policy file with its line; exits 2 if there is any',
      arguments: [['<file>', 'YAML or JSON']],
      options: CHECK_OPTIONS,
      examples: ['weir policy check docs/examples/policy.yaml'],
      run: check,
    }),
    defineCommand({
      name: 'explain',
      description:
        'show what each step does with a prompt, which one decides, and for which models',
      arguments: [
        ['<file>', 'YAML or JSON'],
        ['<prompt>', 'one user message'],
      ],
      options: EXPLAIN_OPTIONS,
      examples: ['weir policy explain docs/examples/policy.yaml "def f(x): what does it do?"'],
      run: explain,
    }),
    ...AUDIT_COMMANDS,
    policyCompareCommand,
  ],
)

async function check(path: string, options: Flags<typeof CHECK_OPTIONS>): Promise<void> {
  const { faultError, policyFaults } = await import('../../../../serving/policy/check.ts')
  const { parseSource } = await import('../../../../core/yaml-source.ts')
  const terminal = openTerminal()
  const source = parseSource(await readText(path), path, 'a policy')
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

async function explain(
  path: string,
  prompt: string,
  options: Flags<typeof EXPLAIN_OPTIONS>,
): Promise<void> {
  const { checkPolicy } = await import('../../../../serving/policy/check.ts')
  const { explainPolicy } = await import('../../explain-policy.ts')
  const terminal = openTerminal()
  const checked = checkPolicy(await readText(path), path)
  const request = {
    id: 'explain',
    body: { model: options.model, messages: [{ role: 'user', content: prompt }] },
    caller: { name: options.key },
    headers: {},
    hints: {
      metadata: { ...metadataOption(options.metadata), tags: [...options.tag] },
      ...definedOnly({ session_id: options.session }),
    },
    time: Date.now(),
  }
  const plan = await explainPolicy(checked, request, options)
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

async function readText(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { WeirError } = await import('../../../../core/errors.ts')
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
}
