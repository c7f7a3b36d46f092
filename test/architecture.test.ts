import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..')
/** The layers, and what each may import beside itself. */
const BELOW = {
  scripts: ['training', 'data', 'serving', 'models', 'records', 'core'],
  training: ['data', 'models', 'records', 'core'],
  data: ['models', 'records', 'core'],
  serving: ['models', 'records', 'core'],
  models: ['records', 'core'],
  records: ['core'],
  core: [],
} as const satisfies Record<string, readonly string[]>
type Layer = keyof typeof BELOW
const LAYERS = Object.keys(BELOW) as Layer[]

/** Each heavy library, and the one file that may import it (as a value or a type). */
const OPENED_IN: readonly (readonly [library: RegExp, file: string | RegExp])[] = [
  [/^onnxruntime-node/, 'models/onnx/session.ts'],
  [/^apache-arrow/, 'data/source/arrow.ts'],
  [/^csv-parse/, 'data/source/csv.ts'],
  [/^(hyparquet|hyparquet-compressors|hyparquet-writer|parquet-wasm)/, 'data/source/parquet.ts'],
  [/^@tensorflow\//, 'training/engine/tfjs-loader.ts'],
  [/^fastify$|^@fastify\//, 'serving/'],
  [/^prom-client$/, /^(core\/lean-metric\.ts|serving\/)/],
  [/^undici$/, 'serving/upstreams/'],
  [/^re2js$/, 'core/pattern.ts'],
  [/^yaml$/, 'core/yaml-source.ts'],
  [/^pg$/, 'records/feedback/postgres-store.ts'],
  [/^fzstd$/, 'data/source/source.ts'],
  [/^@huggingface\/tokenizers$/, 'models/encoders/hf/tokenizer.ts'],
  [/^@observablehq\/plot$/, 'scripts/report/plot.ts'],
]

interface Import {
  readonly from: string
  readonly to: string
}

function sources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name))
    .map((entry) => relative(ROOT, join(entry.parentPath, entry.name)))
}

/** Static and dynamic imports, type imports included, and re-exports. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(ROOT, file), 'utf8')
    .replace(/\/\*[\s\S]*?\*\//g, '')
    .replace(/^\s*\/\/.*$/gm, '')
  const patterns = [
    /^\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]/gm,
    /^\s*import\s*['"]([^'"]+)['"]/gm,
    /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  ]
  return patterns.flatMap((pattern) => [...text.matchAll(pattern)].map((match) => match[1]!))
}

const files = LAYERS.flatMap(sources)
const edges: Import[] = []
const libraries: Import[] = []
for (const file of files) {
  for (const target of importsOf(file)) {
    if (target.startsWith('.')) {
      edges.push({ from: file, to: relative(ROOT, resolve(ROOT, dirname(file), target)) })
    } else libraries.push({ from: file, to: target })
  }
}
const layerOf = (file: string): Layer => file.split('/')[0] as Layer

describe('the layers', () => {
  it('have files, and imports to look at', () => {
    for (const layer of LAYERS) expect(sources(layer).length).toBeGreaterThan(0)
    expect(edges.length).toBeGreaterThan(100)
  })

  it('import by file, with .ts, and only files that are there', () => {
    const known = new Set(files)
    expect(edges.filter(({ to }) => !known.has(to) && !to.endsWith('.json'))).toEqual([])
  })

  it('import only what lies below them', () => {
    const up = edges.filter(({ from, to }) => {
      const below: readonly Layer[] = BELOW[layerOf(from)]
      return layerOf(from) !== layerOf(to) && !below.includes(layerOf(to))
    })
    expect(up).toEqual([])
  })

  it('have no circles between files', () => {
    const next = new Map<string, string[]>()
    for (const { from, to } of edges) next.set(from, [...(next.get(from) ?? []), to])
    const state = new Map<string, 'open' | 'done'>()
    const circles: string[] = []
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === 'done') return
      if (state.get(file) === 'open') {
        circles.push([...path.slice(path.indexOf(file)), file].join(' -> '))
        return
      }
      state.set(file, 'open')
      for (const target of next.get(file) ?? []) visit(target, [...path, file])
      state.set(file, 'done')
    }
    for (const file of files) visit(file, [])
    expect(circles).toEqual([])
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
