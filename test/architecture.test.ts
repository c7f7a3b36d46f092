import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'

const ROOT = resolve(import.meta.dirname, '..')
const FLOORS = ['scripts', 'training', 'data', 'serving', 'models'] as const
type Floor = (typeof FLOORS)[number]

/** What each floor may import, beside itself. */
const BELOW: Record<Floor, readonly Floor[]> = {
  scripts: ['training', 'data', 'serving', 'models'],
  training: ['data', 'models'],
  data: ['models'],
  serving: ['models'],
  models: [],
}

/** Each heavy library, and the one file that may import it (as a value or a type). */
const DOORS: readonly (readonly [library: RegExp, door: string])[] = [
  [/^onnxruntime-node/, 'models/onnx/session.ts'],
  [/^apache-arrow/, 'data/arrow.ts'],
  [/^csv-parse/, 'data/csv.ts'],
  [/^(hyparquet|hyparquet-compressors|hyparquet-writer|parquet-wasm)/, 'data/parquet.ts'],
  [/^@tensorflow\//, 'training/engine/tfjs-loader.ts'],
  [/^fastify$|^@fastify\//, 'serving/'],
  [/^prom-client$/, 'serving/'],
  [/^undici$/, 'serving/upstreams/'],
  [/^re2js$/, 'serving/policy/pattern.ts'],
  [/^yaml$/, 'serving/policy/source.ts'],
  [/^pg$/, 'models/feedback/postgres-store.ts'],
  [/^fzstd$/, 'data/zstd.ts'],
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

const files = FLOORS.flatMap(sources)
const edges: Import[] = []
const libraries: Import[] = []
for (const file of files) {
  for (const target of importsOf(file)) {
    if (target.startsWith('.')) {
      edges.push({ from: file, to: relative(ROOT, resolve(ROOT, dirname(file), target)) })
    } else libraries.push({ from: file, to: target })
  }
}
const floorOf = (file: string): Floor => file.split('/')[0] as Floor

describe('the house', () => {
  it('has files on every floor, and imports to look at', () => {
    for (const floor of FLOORS) expect(sources(floor).length).toBeGreaterThan(0)
    expect(edges.length).toBeGreaterThan(100)
  })

  it('imports by file, with .ts, and only files that are there', () => {
    const known = new Set(files)
    expect(edges.filter(({ to }) => !known.has(to) && !to.endsWith('.json'))).toEqual([])
  })

  it('lets an import only go down', () => {
    const up = edges.filter(({ from, to }) => {
      const [upper, lower] = [floorOf(from), floorOf(to)]
      return upper !== lower && !BELOW[upper].includes(lower)
    })
    expect(up).toEqual([])
  })

  it('has no circles', () => {
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

  it('keeps no barrel: no file only re-exports', () => {
    const barrels = files.filter((file) => {
      const lines = readFileSync(join(ROOT, file), 'utf8')
        .split('\n')
        .filter((line) => line.trim() !== '' && !/^\s*(\/\/|\/\*|\*)/.test(line))
      return lines.length > 0 && lines.every((line) => /^export .* from /.test(line))
    })
    expect(barrels).toEqual([])
  })
})

describe('doors', () => {
  for (const [library, door] of DOORS) {
    it(`only ${door} imports ${library.source}`, () => {
      const elsewhere = libraries.filter(
        ({ from, to }) =>
          library.test(to) &&
          !from.startsWith(door) &&
          // benchmarks measure against the libraries themselves
          !from.startsWith('scripts/bench/'),
      )
      expect(elsewhere).toEqual([])
    })
  }

  it('opens heavy libraries lazily: no static value import of onnxruntime, Arrow or tfjs', () => {
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
