import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  fileCircles,
  folderCircles,
  LAYERS,
  type Layer,
  parentFolders,
  readSources,
} from '../scripts/structure.ts'

const ROOT = resolve(import.meta.dirname, '..')
/** The layers, and what each may import beside itself. */
const BELOW = {
  scripts: ['training', 'data', 'serving', 'models', 'records', 'core'],
  // in the browser: types alone, see below
  console: ['serving'],
  training: ['data', 'models', 'records', 'core'],
  data: ['models', 'records', 'core'],
  serving: ['models', 'records', 'core'],
  models: ['records', 'core'],
  records: ['core'],
  core: [],
} as const satisfies Record<Layer, readonly Layer[]>

/** Each heavy library, and the one file that may import it (as a value or a type). */
const OPENED_IN: readonly (readonly [library: RegExp, file: string | RegExp])[] = [
  [/^onnxruntime-node/, 'models/onnx/session.ts'],
  [/^apache-arrow/, 'data/source/arrow.ts'],
  [/^csv-parse/, 'data/source/csv.ts'],
  [/^(hyparquet|hyparquet-compressors|hyparquet-writer|parquet-wasm)/, 'data/source/parquet.ts'],
  [/^@tensorflow\//, 'training/engine/tfjs-loader.ts'],
  [/^fastify$|^@fastify\//, 'serving/'],
  [/^prom-client$/, /^(core\/lean-metric\.ts|serving\/)/],
  [/^undici$/, 'core/outgoing.ts'],
  [/^re2js$/, 'core/pattern.ts'],
  [/^yaml$/, 'core/yaml-source.ts'],
  [/^pg$/, 'records/postgres.ts'],
  [/^(ioredis|rate-limiter-flexible)$/, 'serving/state/redis.ts'],
  [/^@opentelemetry\//, 'serving/telemetry/tracing.ts'],
  [/^@aws-sdk\//, 'models/bundle/remote/s3.ts'],
  [/^fzstd$/, 'data/source/source.ts'],
  [/^@huggingface\/tokenizers$/, 'models/encoders/hf/tokenizer.ts'],
  [/^@observablehq\/plot$/, /^(scripts\/report\/plot|console\/parts\/(plot|chart))\.tsx?$/],
  [/^uplot/, 'console/parts/live-chart.tsx'],
]

/** The order inside `serving/`, lowest first: each folder imports only folders before it. */
const SERVING = [
  'state',
  'conversation',
  'upstreams',
  'router',
  'telemetry',
  'alarms',
  'budgets',
  'gateway',
  'strategies',
  'judging',
  'policy',
  'audit',
  'server',
]

const sources = readSources(ROOT)
const files = [...sources.keys()]
const edges = files.flatMap((from) => sources.get(from)!.imports.map((to) => ({ from, to })))
const libraries = files.flatMap((from) => sources.get(from)!.libraries.map((to) => ({ from, to })))
const layerOf = (file: string): Layer => file.split('/')[0] as Layer

describe('the layers', () => {
  it('have files, and imports to look at', () => {
    for (const layer of LAYERS) expect(files.some((file) => layerOf(file) === layer)).toBe(true)
    expect(edges.length).toBeGreaterThan(100)
  })

  it('import by file, with .ts, and only files that are there', () => {
    expect(edges.filter(({ to }) => !sources.has(to) && !/\.(json|css)$/.test(to))).toEqual([])
  })

  it('import only what lies below them', () => {
    const up = edges.filter(({ from, to }) => {
      const below: readonly Layer[] = BELOW[layerOf(from)]
      return layerOf(from) !== layerOf(to) && !below.includes(layerOf(to))
    })
    expect(up).toEqual([])
  })

  it('give the console types alone, which leave nothing of the server in the browser', () => {
    const taken = files
      .filter((file) => layerOf(file) === 'console')
      .flatMap((file) => [
        ...readFileSync(join(ROOT, file), 'utf8').matchAll(
          /^(?:import|export) (?!type)[^;']*?from '(\.\.\/(?:\.\.\/)*(?:serving|core|models)[^']*)'/gm,
        ),
      ])
      .map(([statement]) => statement)
    expect(taken).toEqual([])
  })

  it('have no circles between files', () => {
    expect(fileCircles(sources)).toEqual([])
  })

  it('keep no barrel: no file only re-exports, but for the index.ts of a layer', () => {
    const barrels = files.filter((file) => {
      if (/^[a-z]+\/index\.ts$/.test(file)) return false
      const lines = readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .filter((line) => line.trim() !== '' && !/^\s*(\/\/|\/\*|\*)/.test(line))
      return lines.length > 0 && lines.every((line) => /^export .* from /.test(line))
    })
    expect(barrels).toEqual([])
  })
})

describe('the folders of a layer', () => {
  for (const parent of parentFolders(sources)) {
    it(`have no circles between them: ${parent || 'the root'}`, () => {
      expect(folderCircles(sources, parent)).toEqual([])
    })
  }

  it('stand in one order in serving', () => {
    const rank = (file: string): number => SERVING.indexOf(file.split('/')[1]!)
    const inside = edges.filter(({ from, to }) =>
      [from, to].every((file) => layerOf(file) === 'serving' && file.split('/').length > 2),
    )
    expect(inside.filter(({ from, to }) => rank(from) < 0 || rank(to) < 0)).toEqual([])
    expect(inside.filter(({ from, to }) => rank(from) < rank(to))).toEqual([])
  })
})

describe('heavy libraries', () => {
  for (const [library, file] of OPENED_IN) {
    it(`are imported by one file: ${String(file)} imports ${library.source}`, () => {
      const elsewhere = libraries.filter(
        ({ from, to }) =>
          library.test(to) &&
          !(typeof file === 'string' ? from.startsWith(file) : file.test(from)) &&
          // benchmarks measure against the libraries themselves
          !from.startsWith('scripts/bench/'),
      )
      expect(elsewhere).toEqual([])
    })
  }

  it('are loaded when used: no static value import of onnxruntime, Arrow or tfjs', () => {
    const heavy = /^(onnxruntime-node|apache-arrow|@tensorflow\/)/
    const eager = files
      .filter((file) => !file.startsWith('scripts/bench/'))
      .flatMap((file) =>
        [
          ...readFileSync(join(ROOT, file), 'utf8').matchAll(
            /^import (?!type)[^'"]*['"]([^'"]+)['"]/gm,
          ),
        ]
          .filter((match) => heavy.test(match[1]!))
          .map((match) => `${file}: ${match[1]}`),
      )
    expect(eager).toEqual([])
  })
})
