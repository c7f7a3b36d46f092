import { join } from 'node:path'
import { openTerminal } from '../../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, encoderAccess, signersOf } from '../../bundle-access.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, labelStoreOption } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'

const OPTIONS = optionTable({
  router: {
    flag: '--router <bundle>',
    schema: Text,
    help: 'also show this router’s curve and thresholds on the graded prompts',
  },
  store: labelStoreOption,
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
    'Writes the dataset of the folder anew, with soft labels where people labelled at least 10 prompts. With labels of people\n(weir label; 10 or more, better 50 to 200) the figures are corrected for the judge’s errors, and stand beside what the judge alone would say.',
  examples: ['weir grade collected', 'weir grade collected --router bundles/demo'],
  run,
})

async function run(folder: string | undefined, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { isCollection, lockCollection } = await import('../../../collect/collection.ts')
  const { curveLines, pairLines } = await import('../../../collect/report.ts')
  const terminal = openTerminal()
  const path = folder ?? 'collected'
  // held from reading to writing, so that no run adds rows in between
  const lock = isCollection(path) ? await lockCollection(path, { waitMs: 1000 }) : undefined
  const { pairs, reports, curves, byPair, written } = await graded(path, flags).finally(() =>
    lock?.release(),
  )
  if (flags.json) {
    terminal.json({ folder: path, pairs: reports, ...(byPair && { router: byPair }) })
    return
  }
  for (const report of reports) {
    for (const line of pairLines(report)) terminal.print(line)
    terminal.print('')
  }
  if (curves && curves.seen > 0) {
    terminal.print(
      `On the ${curves.rows.length} prompts that ${curves.name} was not made from (${curves.seen} left out):`,
    )
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

/** Reads the collection, reports on it and writes its dataset. @throws collection_invalid, rows_too_few */
async function graded(path: string, flags: Flags<typeof OPTIONS>) {
  const { WeirError } = await import('../../../../core/errors.ts')
  const { readCollection } = await import('../../../collect/collection.ts')
  const { openCollection } = await import('../../../collect/grades.ts')
  const { writeDataset } = await import('../../../collect/log.ts')
  const { pairsOf } = await import('../../../collect/run.ts')
  const { pairReport, routerCurves } = await import('../../../collect/report.ts')
  if (flags.store !== undefined) {
    const { syncLabels } = await import('../../../collect/shared-labels.ts')
    await syncLabels(await readCollection(path), flags.store)
  }
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
    curves &&
    pairs.map(([a, b]) => ({
      a,
      b,
      rows: curves.rows.length,
      ...routerCurves(curves.rows, a, b, curves.winRates),
    }))
  const written = await writeDataset(path, rows, models, sample.seed)
  return { pairs, reports, curves, byPair, written }
}

interface RouterScored<Row> {
  readonly name: string
  /** the rows that the router was not made from */
  readonly rows: readonly Row[]
  /** rows left out */
  readonly seen: number
  readonly winRates: ReadonlyMap<string, number>
}

/** The router's win rates on the rows that it was neither trained nor validated on. @throws rows_too_few */
async function routerScores<Row extends { readonly row: { id: string; prompt: string } }>(
  path: string,
  rows: readonly Row[],
  flags: Flags<typeof OPTIONS>,
): Promise<RouterScored<Row>> {
  const { WeirError } = await import('../../../../core/errors.ts')
  const { readBundle } = await import('../../../../models/bundle/read.ts')
  const { seenPartOf } = await import('../../../../models/bundle/data-hashes.ts')
  const { promptHash } = await import('../../../../core/hash.ts')
  const { loadRouter } = await import('../../../../models/router.ts')
  const signers = signersOf(flags)
  const hashes = await (await readBundle(path, { signers })).dataHashes()
  const fresh = rows.filter(({ row: { prompt } }) => {
    const part = seenPartOf(prompt, promptHash(prompt), hashes)
    return part !== 'train' && part !== 'validation'
  })
  if (fresh.length < 2) {
    const what = `of the collection that ${path} was not made from`
    throw new WeirError('rows_too_few', { expected: 2, what, got: fresh.length })
  }
  const router = await loadRouter(path, { encoderAccess: encoderAccess(flags), signers })
  try {
    const { winRate } = await router.score(fresh.map(({ row }) => row.prompt))
    return {
      name: router.manifest.name,
      rows: fresh,
      seen: rows.length - fresh.length,
      winRates: new Map(fresh.map(({ row }, i) => [row.id, winRate[i]!])),
    }
  } finally {
    await router.close()
  }
}
