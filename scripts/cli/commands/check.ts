import { openTerminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, openRouter } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const OPTIONS = optionTable({
  junit: {
    flag: '--junit <file>',
    schema: Text,
    writes: 'file',
    help: 'also write the result as JUnit XML',
  },
  ...BUNDLE_OPTIONS,
  json: jsonOption('the result'),
})

/** `weir check <bundle> <golden>`: checks the rules a router must keep, for CI. Exits 1 if one is broken. */
export const checkCommand = defineCommand({
  name: 'check',
  description: 'test a bundle against golden prompts and bounds; exits 1 if one fails',
  arguments: [
    ['<bundle>', 'bundle folder, such as bundles/demo'],
    ['<golden>', 'JSONL file: {"prompt", "expect": "strong"|"weak"} or {"bounds": {...}} per line'],
  ],
  options: OPTIONS,
  notes: `Lines of a golden file:
  {"prompt": "Prove that there are infinitely many primes.", "expect": "strong"}
  {"prompt": "hi", "expect": "weak", "max_win_rate": 0.6, "category": "chat"}
  {"bounds": {"max_strong_share": 0.4}}
  {"bounds": {"max_strong_share": 0.1}, "category": "chat"}
  {"bounds": {"min_pgr": 0.7}}   (over prompts with "scores": {"big": 1, "small": 0})`,
  examples: ['weir check bundles/demo golden.jsonl --junit check.xml'],
  run,
})

async function run(bundle: string, path: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { checkGolden, readGolden } = await import(
    '../../../training/evaluate/golden/check-golden.ts'
  )
  const terminal = openTerminal()
  const signal = interruptSignal()
  const golden = await readGolden(path, signal)
  const router = await openRouter(bundle, flags)
  try {
    const result = await checkGolden(router, golden, signal)
    if (flags.junit) {
      const { writeWhole } = await import('../../../core/files.ts')
      const { renderJunit } = await import('../../report/junit.ts')
      await writeWhole(flags.junit, renderJunit(result))
    }
    if (flags.json) terminal.json(result)
    else {
      for (const { name, line, failure } of result.cases) {
        if (failure) terminal.print(`failed  ${path}:${line}  ${name}\n        ${failure}`)
      }
      terminal.print(
        `${result.router.name} ${result.router.version}: ${result.passed} of ${result.cases.length} passed`,
      )
    }
    if (result.failed > 0) process.exitCode = 1
  } finally {
    await router.close()
  }
}
