import { join } from 'node:path'
import { openTerminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, encoderAccess, signersOf } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const OPTIONS = optionTable({
  router: {
    flag: '--router <bundle>',
    schema: Text,
    help: 'also show this router’s curve and thresholds on the graded prompts',
  },
  ...BUNDLE_OPTIONS,
  json: jsonOption('the report'),
})

/** `weir grade <folder>`: what judges and people say, and the dataset of it. */
export const gradeCommand = defineCommand({
  name: 'grade',
  description:
    'correct the judges of a collection by labels of people: win rates, biases, a router’s curve, how much is enough',
  arguments: [['[folder]', 'the folder of weir collect (default collected)']],
  options: OPTIONS,
  notes:
    'Writes the dataset of the folder anew, with soft labels where people labelled at least 10 prompts. A judge is never taken at its word: with\n50 to 200 labels of people (weir label) its figures are unbiased, and the report shows what it alone would have claimed.',
  examples: ['weir grade collected', 'weir grade collected --router bundles/demo'],
  run,
})

async function run(folder: string | undefined, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { openCollection } = await import('../../collect/open.ts')
  const { writeDataset } = await import('../../collect/log.ts')
  const { pairsOf } = await import('../../collect/run.ts')
  const { lockCollection } = await import('../../collect/collection.ts')
  const { curveLines, pairLines, pairReport, routerCurves } = await import(
    '../../collect/report.ts'
  )
  const terminal = openTerminal()
  const path = folder ?? 'collected'
  const { collection, rows, spentUsd } = await openCollection(path)
  const { models, sample } = collection.settings
  const pairs = pairsOf(models)
  const reports = pairs.flatMap(([a, b]) => pairReport(rows, a, b, spentUsd) ?? [])
  if (reports.length === 0) {
    throw new WeirError('rows_too_few', {
      expected: 2,
      what: `graded for two models in ${path} (weir collect --judge or --check)`,
      got: rows.length === 0 ? 'no row that all models answered' : 'none',
    })
  }
  const curves =
    flags.router === undefined ? undefined : await routerScores(flags.router, rows, flags)
  const byPair =
    curves && pairs.map(([a, b]) => ({ a, b, ...routerCurves(rows, a, b, curves.winRates) }))
  const lock = await lockCollection(path, { waitMs: 1000 })
  const written = await writeDataset(path, rows, models, sample.seed).finally(() => lock.release())
  if (flags.json) {
    terminal.json({ folder: path, pairs: reports, ...(byPair && { router: byPair }) })
    return
  }
  for (const report of reports) {
    for (const line of pairLines(report)) terminal.print(line)
    terminal.print('')
  }
  for (const each of byPair ?? []) {
    for (const line of curveLines(curves!.name, each)) terminal.print(line)
    terminal.print('')
  }
  if (written) {
    const [strong, weak] = pairs[0]!
    terminal.print(
      `Dataset: ${join(path, 'dataset')}. Next: weir train ${join(path, 'dataset')} --strong ${strong} --weak ${weak}`,
    )
  }
}

async function routerScores(
  path: string,
  rows: readonly { readonly row: { readonly id: string; readonly prompt: string } }[],
  flags: Flags<typeof OPTIONS>,
): Promise<{ readonly name: string; readonly winRates: ReadonlyMap<string, number> }> {
  const { loadRouter } = await import('../../../models/router.ts')
  const router = await loadRouter(path, {
    encoderAccess: encoderAccess(flags),
    signers: signersOf(flags),
  })
  try {
    const { winRate } = await router.score(rows.map(({ row }) => row.prompt))
    const winRates = new Map(rows.map(({ row }, i) => [row.id, winRate[i]!]))
    return { name: router.manifest.name, winRates }
  } finally {
    await router.close()
  }
}
