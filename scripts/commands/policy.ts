import { Command } from 'commander'
import { openTerminal } from '../terminal.ts'
import { addAuditCommands } from './policy-audit.ts'

interface ExplainOptions {
  readonly bundle?: string
  readonly key: string
  readonly tag?: string[]
  readonly json?: boolean
}

/** `weir policy check|explain`: what is wrong with a policy file, and what it does with a prompt. */
export function policyCommand(): Command {
  const often = (value: string, before: string[] = []): string[] => [...before, value]
  const policy = new Command('policy').description('check a policy file, or ask what it does')
  policy
    .command('check')
    .description('say all that is wrong with a policy file, by line; exit 2 where anything is')
    .argument('<file>', 'YAML or JSON')
    .option('--json', 'print the faults as JSON')
    .addHelpText('after', '\nExample:\n  weir policy check docs/examples/policy.yaml')
    .action(check)
  policy
    .command('explain')
    .description('say which step decides about a prompt, and for which models')
    .argument('<file>', 'YAML or JSON')
    .argument('<prompt>', 'one user message')
    .option('--bundle <folder>', 'the learned router; without it, that step is passed')
    .option('--key <name>', 'as the holder of this key', 'anonymous')
    .option('--tag <tag>', 'tag the request; repeat for more', often)
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
  const { faultError, policyFaults } = await import('../../serving/policy/check.ts')
  const { parseSource } = await import('../../serving/policy/source.ts')
  const terminal = openTerminal()
  const source = parseSource(await readText(path), path)
  const faults = policyFaults(source)
  if (options.json) terminal.json({ path, hash: source.hash, faults })
  else {
    for (const fault of faults) terminal.print(faultError(fault, path).message)
    if (faults.length === 0) {
      terminal.print(`${path} may be served (${source.hash})`)
      terminal.print(`Next: weir policy explain ${path} "Prove that sqrt(2) is irrational."`)
    }
  }
  if (faults.length > 0) process.exitCode = 2
}

async function explain(path: string, prompt: string, options: ExplainOptions): Promise<void> {
  const { checkPolicy } = await import('../../serving/policy/check.ts')
  const { createPolicy } = await import('../../serving/policy/pipeline.ts')
  const { assertPolicyFits } = await import('../../serving/policy/fit.ts')
  const { isRemote } = await import('../../models/encoder.ts')
  const { loadRouter } = await import('../../models/router.ts')
  const terminal = openTerminal()
  const checked = checkPolicy(await readText(path), path)
  const router = options.bundle === undefined ? undefined : await loadRouter(options.bundle)
  if (router) {
    const { name, candidates } = router.manifest
    const its = (wanted: string): string => candidates.find(({ role }) => role === wanted)!.model
    assertPolicyFits(checked, {
      pairs: [{ router: name, strong: its('strong'), weak: its('weak') }],
    })
  }
  const semantic = checked.file.semantic
  const { makeNamedEncoder } = await import('../../models/encoders/named.ts')
  const { buildSemanticIndex } = await import('../../serving/policy/semantic.ts')
  const { cacheFolder } = await import('../cache-folder.ts')
  const encoder = semantic
    ? (await makeNamedEncoder(semantic.encoder, { cacheFolder: cacheFolder(process.env) })).encoder
    : undefined
  try {
    const index =
      semantic && encoder
        ? await buildSemanticIndex(
            semantic.routes,
            semantic.none_of_these ?? [],
            async (texts, signal) => (await encoder.encode(texts, signal)).embeddings,
            { remote: isRemote(encoder.spec) },
          )
        : undefined
    const policy = createPolicy(checked, {
      ...(router
        ? {
            learned: {
              route: (asked) => router.route(asked),
              has: (name) => name === router.manifest.name,
              remote: () => isRemote(router.manifest.encoder),
            },
          }
        : {}),
      ...(index ? { semantic: index } : {}),
    })
    const plan = await policy.plan(
      {
        id: 'explain',
        body: { model: 'auto', messages: [{ role: 'user', content: prompt }] },
        caller: { name: options.key },
        headers: {},
        hints: { metadata: { tags: options.tag ?? [] } },
        time: Date.now(),
      },
      {
        signal: new AbortController().signal,
        send: () => Promise.reject(new Error('no models are asked here')),
      },
    )
    if (options.json) {
      terminal.json(plan)
      return
    }
    for (const { step, matched, name, reason } of plan.steps ?? []) {
      const why = reason === undefined ? '' : ` (${reason})`
      terminal.print(`${step.padEnd(12)}${matched ? (name ?? 'matched') : '-'}${why}`)
    }
    const { step, reason, name } = plan.deciding
    terminal.print(`decided by: ${step}${name ? ` ${name}` : ''} (${reason})`)
    if (plan.kind === 'refuse') terminal.print(`refused: ${plan.message}`)
    else terminal.print(`asks: ${plan.targets.map(({ model }) => model).join(', then ')}`)
    if (!router && checked.file.learned)
      terminal.note('without --bundle, the learned step is passed')
  } finally {
    await encoder?.close?.()
    await router?.close()
  }
}

async function readText(path: string): Promise<string> {
  const { readFile } = await import('node:fs/promises')
  const { WeirError } = await import('../../models/errors.ts')
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
}
