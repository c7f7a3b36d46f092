import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { PartialInterval } from '../../../core/stats/intervals.ts'
import { cacheFolder } from '../../../models/encoders/cache.ts'
import type { Embeddings } from '../../../models/encoders/embeddings.ts'
import { appendColumns } from '../../../models/encoders/joined.ts'
import { makeNamedEncoder } from '../../../models/encoders/registry.ts'
import { createEngine } from '../../../training/engine/engines.ts'
import { evaluateRouters } from '../../../training/evaluate/evaluate-routers.ts'
import { fitLexical, PROJECTION_DEFAULTS } from '../../../training/lexical/fit.ts'
import { interruptSignal } from '../../terminal/interrupt.ts'
import { count, openTerminal, score, table } from '../../terminal/terminal.ts'
import { storedEmbeddings } from '../encoder-store.ts'
import { list } from '../logs.ts'
import { type EmbeddingSource, type Head, outOfFold, type PairTable, pairTables } from './fit.ts'

/**
 * `npm run eval:encoders`: APGR and AUC, 5-fold by stem, of each encoder with the same linear head and with
 * mf, by the head's number of labels. Encoders are compared on the same prompts and the same draws.
 */
const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    seed: { type: 'string', default: '1' },
    folds: { type: 'string', default: '5' },
    labels: { type: 'string', default: '300,1000,3000,all' },
    heads: { type: 'string', default: 'linear,mf' },
    encoders: {
      type: 'string',
      default: 'lexical,use-lite-static,use-lite,lexical+use-lite-static,lexical+use-lite',
    },
    data: { type: 'string', default: '' },
  },
})
const seed = Number(options.seed)
const folds = Number(options.folds)
/** words and meaning concatenated, as in `weir train --encoder lexical+use-lite` */
const BESIDE = 'lexical+'
const terminal = openTerminal()
const signal = interruptSignal()

interface Row {
  readonly data: string
  readonly head: Head
  readonly labels: number
  readonly encoder: string
  readonly apgr: PartialInterval
  readonly auc: PartialInterval
  /** APGR minus that of `lexical`, paired */
  readonly over_lexical: PartialInterval
}

const rows: Row[] = []
const engine = await createEngine('onnx')
try {
  for (const pair of await pairTables(list(options.data), {
    folds,
    seed,
    note: terminal.note,
  })) {
    terminal.note(`${pair.name}: ${pair.source}, ${count(pair.prompts.length)} prompts`)
    const sources = await openSources(pair)
    const least = Math.min(...foldSizes(pair))
    const sizes = list(options.labels).map((text) => (text === 'all' ? least : Number(text)))
    for (const head of list(options.heads) as Head[]) {
      for (const labels of new Set(sizes.filter((size) => size <= least))) {
        const measured = await compare(pair, sources, head, labels)
        rows.push(...measured)
        terminal.note(shown(measured))
      }
    }
  }
} finally {
  await engine.close()
}
terminal.endProgress()
if (options.json) terminal.json({ rows, figures: figures(rows) })
else terminal.print(shown(rows))

/** The number of rows in the training folds, by the fold that is held out. */
function foldSizes(pair: PairTable): number[] {
  return Array.from({ length: folds }, (_, fold) => pair.fold.filter((f) => f !== fold).length)
}

/** By encoder and head: `lexical` is fitted on each training set, sparse for linear and dense for mf. */
async function openSources(
  pair: PairTable,
): Promise<ReadonlyMap<string, (head: Head) => EmbeddingSource>> {
  const sources = new Map<string, (head: Head) => EmbeddingSource>()
  for (const name of list(options.encoders)) {
    if (name === 'lexical') {
      sources.set(name, (head) => (training) => lexical(pair, training, head))
      continue
    }
    const beside = name.startsWith(BESIDE)
    const { encoder } = await makeNamedEncoder(beside ? name.slice(BESIDE.length) : name, {
      cacheFolder: cacheFolder(process.env),
      onProgress: terminal.onProgress,
      workers: 2,
    })
    const folder = join(cacheFolder(process.env), 'eval')
    const embeddings = await storedEmbeddings(encoder, pair.prompts, folder, terminal.onProgress)
    await encoder.close?.()
    sources.set(name, () => async (training) => {
      if (!beside) return embeddings
      const words = await lexical(pair, training, 'linear')
      return words.kind === 'sparse' ? appendColumns(words, embeddings) : words
    })
  }
  return sources
}

async function lexical(
  pair: PairTable,
  training: readonly number[],
  head: Head,
): Promise<Embeddings> {
  const { encoder } = await fitLexical({
    prompts: training.map((row) => pair.prompts[row]!),
    ...(head === 'mf' ? { projection: { ...PROJECTION_DEFAULTS, seed } } : {}),
    signal,
  })
  return (await encoder.encode(pair.prompts, signal)).embeddings
}

async function compare(
  pair: PairTable,
  sources: ReadonlyMap<string, (head: Head) => EmbeddingSource>,
  head: Head,
  labels: number,
): Promise<Row[]> {
  const routers: { name: string; winRate: Float64Array }[] = []
  for (const [name, sourceOf] of sources) {
    if (head === 'mf' && name.startsWith(BESIDE)) continue // reads dense rows only
    terminal.onProgress({
      stage: `${pair.name}, ${head}, ${labels} labels`,
      done: routers.length,
      total: sources.size,
      note: name,
    })
    const fit = { seed, folds, engine, signal }
    const { winRate } = await outOfFold(pair, sourceOf(head), head, labels, fit)
    routers.push({ name, winRate })
  }
  const strong = pair.scores.filter((_, k) => k % 2 === 0)
  const weak = pair.scores.filter((_, k) => k % 2 === 1)
  const report = await evaluateRouters({
    routers,
    prompts: pair.prompts,
    labels: { y: strong.map((s, i) => (1 + s - weak[i]!) / 2), strong, weak },
    seed,
    signal,
  })
  const none: PartialInterval = { value: null, low: null, high: null }
  return report.routers.map((router) => ({
    data: pair.name,
    head,
    labels,
    encoder: router.name,
    apgr: router.apgr,
    auc: router.auc,
    over_lexical: overLexical(report.comparisons, router.name) ?? none,
  }))
}

function overLexical(
  comparisons: readonly (PartialInterval & { a: string; b: string })[],
  name: string,
): PartialInterval | undefined {
  const found = comparisons.find(({ a, b }) => a === 'lexical' && b === name)
  if (!found) return undefined
  const negative = (value: number | null): number | null => (value === null ? null : -value)
  return { value: negative(found.value), low: negative(found.high), high: negative(found.low) }
}

function shown(some: readonly Row[]): string {
  const show = ({ value, low, high }: PartialInterval): string =>
    value === null
      ? ''
      : `${score(value)} [${score(low ?? Number.NaN)}, ${score(high ?? Number.NaN)}]`
  return table([
    ['data', 'head', 'labels', 'encoder', 'APGR', 'AUC', 'APGR over lexical'],
    ...some.map((row) => [
      row.data,
      row.head,
      count(row.labels),
      row.encoder,
      show(row.apgr),
      show(row.auc),
      show(row.over_lexical),
    ]),
  ])
}

function figures(some: readonly Row[]): Record<string, number> {
  const word = (text: string): string => text.replace(/[^a-z0-9]+/gi, '_')
  const largest = (row: Row): boolean =>
    row.labels === Math.max(...some.filter(({ data }) => data === row.data).map((r) => r.labels))
  return Object.fromEntries(
    some.map((row) => [
      `apgr_${word(row.data)}_${row.head}_${largest(row) ? 'all' : row.labels}_${word(row.encoder)}`,
      row.apgr.value ?? Number.NaN,
    ]),
  )
}
