import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, relative, resolve } from 'node:path'

/** The top-level folders that hold the product's code, highest layer first. */
export const LAYERS = [
  'scripts',
  'console',
  'training',
  'data',
  'serving',
  'models',
  'records',
  'core',
] as const
export type Layer = (typeof LAYERS)[number]

export interface SourceFile {
  readonly lines: number
  /** files it imports, as paths from the root: static, dynamic, type imports, re-exports, workers */
  readonly imports: readonly string[]
  /** packages and built-in modules it imports */
  readonly libraries: readonly string[]
}
/** Every source file of the layers, by its path from the root. */
export type Sources = ReadonlyMap<string, SourceFile>

const IMPORTS = [
  /^\s*(?:import|export)\s[^'"`;]*?from\s*['"]([^'"]+)['"]/gm,
  /^\s*import\s*['"]([^'"]+)['"]/gm,
  /\bimport\(\s*['"]([^'"]+)['"]\s*\)/g,
  /\bnew URL\(\s*['"]([^'"]+\.m?ts)['"]\s*,\s*import\.meta\.url/g,
]

/** Reads the TypeScript files of the layers that `root` has. */
export function readSources(root: string): Sources {
  const top = new Set(readdirSync(root))
  const sources = new Map<string, SourceFile>()
  for (const layer of LAYERS) {
    if (!top.has(layer)) continue
    for (const entry of readdirSync(join(root, layer), { recursive: true, withFileTypes: true })) {
      if (!entry.isFile() || !/\.m?tsx?$/.test(entry.name) || entry.name.endsWith('.d.ts')) continue
      const path = join(entry.parentPath, entry.name)
      if (path.includes('node_modules')) continue
      sources.set(relative(root, path), parseSource(readFileSync(path, 'utf8'), path, root))
    }
  }
  return sources
}

function parseSource(text: string, path: string, root: string): SourceFile {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '')
  const imports = new Set<string>()
  const libraries = new Set<string>()
  for (const pattern of IMPORTS) {
    for (const [, target] of code.matchAll(pattern)) {
      if (target!.startsWith('.')) imports.add(relative(root, resolve(dirname(path), target!)))
      else libraries.add(target!)
    }
  }
  return {
    lines: text.split('\n').length - 1,
    imports: [...imports],
    libraries: [...libraries],
  }
}

/** Folders that directly hold more than `limit` files. */
export function crowdedFolders(sources: Sources, limit = 25): [folder: string, files: number][] {
  const counts = new Map<string, number>()
  for (const path of sources.keys()) {
    counts.set(dirname(path), (counts.get(dirname(path)) ?? 0) + 1)
  }
  return [...counts].filter(([, count]) => count > limit)
}

export interface SmallFile {
  readonly path: string
  readonly lines: number
  readonly importer: string
}

/** Files under `limit` lines with a single importer, which is in the same folder. */
export function smallSingleImporterFiles(sources: Sources, limit = 60): SmallFile[] {
  const importers = new Map<string, string[]>()
  for (const [from, { imports }] of sources) {
    for (const to of imports) importers.set(to, [...(importers.get(to) ?? []), from])
  }
  return [...sources].flatMap(([path, { lines }]) => {
    const [importer, ...others] = importers.get(path) ?? []
    const alone = importer !== undefined && others.length === 0
    return lines < limit && alone && dirname(importer) === dirname(path)
      ? [{ path, lines, importer }]
      : []
  })
}

export interface TwoWayPair {
  readonly folders: readonly [string, string]
  /** imports from the first to the second, and back */
  readonly there: number
  readonly back: number
}

/** Pairs of folders with one parent that import each other. */
export function twoWayFolders(sources: Sources): TwoWayPair[] {
  const counts = new Map<string, number>()
  for (const [from, to] of edges(sources)) {
    const [a, b] = [from.split('/'), to.split('/')]
    const fork = a.findIndex((part, i) => part !== b[i])
    if (fork >= a.length - 1 || fork >= b.length - 1) continue
    const pair = `${a.slice(0, fork + 1).join('/')} ${b.slice(0, fork + 1).join('/')}`
    counts.set(pair, (counts.get(pair) ?? 0) + 1)
  }
  return [...counts].flatMap(([pair, there]) => {
    const [a, b] = pair.split(' ') as [string, string]
    const back = counts.get(`${b} ${a}`)
    return back !== undefined && a < b ? [{ folders: [a, b] as const, there, back }] : []
  })
}

/** Files that import each other, directly or through others: `a -> b -> a`. */
export function fileCircles(sources: Sources): string[] {
  const graph = new Map<string, Set<string>>()
  for (const [from, to] of edges(sources)) link(graph, from, to)
  return circles(graph).map((circle) => circle.join(' -> '))
}

/** Every folder that is not empty, the root ('') first. */
export function parentFolders(sources: Sources): string[] {
  const parents = new Set([''])
  for (const path of sources.keys()) {
    const parts = path.split('/').slice(0, -1)
    parts.forEach((_, i) => void parents.add(parts.slice(0, i + 1).join('/')))
  }
  return [...parents]
}

/**
 * Circles among the direct contents of one folder: its subfolders, each taken as a whole, and its files.
 * Circles of files alone are found by `fileCircles`.
 *
 * @returns `a > b > a`, with an import for each step
 */
export function folderCircles(sources: Sources, parent: string): string[] {
  const prefix = parent === '' ? '' : `${parent}/`
  const graph = new Map<string, Set<string>>()
  const example = new Map<string, string>()
  for (const [from, to] of edges(sources)) {
    if (!from.startsWith(prefix) || !to.startsWith(prefix)) continue
    const [a, b] = [from, to].map((path) => path.slice(prefix.length).split('/')[0]!) as [
      string,
      string,
    ]
    if (a === b) continue
    link(graph, a, b)
    example.set(`${a} ${b}`, `${from} -> ${to}`)
  }
  return circles(graph)
    .filter((circle) => circle.some((name) => !sources.has(prefix + name)))
    .map((circle) => {
      const steps = circle.slice(1).map((to, i) => example.get(`${circle[i]} ${to}`))
      return `${circle.map((name) => prefix + name).join(' > ')} (${steps.join(', ')})`
    })
}

/** Imports from one source file to another. */
function* edges(sources: Sources): Generator<[from: string, to: string]> {
  for (const [from, { imports }] of sources) {
    for (const to of imports) if (sources.has(to)) yield [from, to]
  }
}

function link(graph: Map<string, Set<string>>, from: string, to: string): void {
  const targets = graph.get(from)
  if (targets) targets.add(to)
  else graph.set(from, new Set([to]))
}

/** The circles that a depth-first walk closes: none exactly if the graph has none. */
function circles(graph: ReadonlyMap<string, ReadonlySet<string>>): string[][] {
  const found: string[][] = []
  const state = new Map<string, 'open' | 'done'>()
  const visit = (node: string, path: readonly string[]): void => {
    if (state.get(node) === 'done') return
    if (state.get(node) === 'open') {
      found.push([...path.slice(path.indexOf(node)), node])
      return
    }
    state.set(node, 'open')
    for (const target of graph.get(node) ?? []) visit(target, [...path, node])
    state.set(node, 'done')
  }
  for (const node of graph.keys()) visit(node, [])
  return found
}

/** The output of `npm run structure`. */
export function structureReport(sources: Sources): string {
  const section = (title: string, items: readonly string[]): string =>
    [`${title}: ${items.length}`, ...items.map((item) => `  ${item}`)].join('\n')
  let lines = 0
  for (const source of sources.values()) lines += source.lines
  return [
    `files: ${sources.size}`,
    `lines: ${lines}`,
    section(
      'folders over 25 files',
      crowdedFolders(sources).map(([folder, files]) => `${folder}: ${files}`),
    ),
    section(
      'files under 60 lines with one importer, in the same folder',
      smallSingleImporterFiles(sources).map(
        ({ path, lines, importer }) => `${path} (${lines} lines) <- ${basename(importer)}`,
      ),
    ),
    section(
      'sibling folders that import each other',
      twoWayFolders(sources).map(
        ({ folders: [a, b], there, back }) => `${a} <-> ${b} (${there} there, ${back} back)`,
      ),
    ),
    section('circles between files', fileCircles(sources)),
    section(
      'circles between folders',
      parentFolders(sources).flatMap((parent) => folderCircles(sources, parent)),
    ),
  ].join('\n')
}

if (process.argv[1] === import.meta.filename) {
  const root = resolve(process.argv[2] ?? join(import.meta.dirname, '..'))
  process.stdout.write(`${structureReport(readSources(root))}\n`)
}
