import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  crowdedFolders,
  fileCircles,
  folderCircles,
  parentFolders,
  readSources,
  smallSingleImporterFiles,
  structureReport,
  twoWayFolders,
} from '../../scripts/structure.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'weir-structure-'))
})
afterEach(() => rmSync(root, { recursive: true }))

function sourcesOf(files: Record<string, string>) {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
  return readSources(root)
}

describe('readSources', () => {
  it('reads every kind of import, and none out of comments', () => {
    const sources = sourcesOf({
      'core/a.ts': [
        "import { readFileSync } from 'node:fs'",
        "import type { B } from './b.ts'",
        'import {',
        '  c,',
        "} from '../models/c.ts'",
        "export * from './d.ts'",
        "import './e.ts'",
        "// import { f } from './f.ts'",
        "/* import { g } from './g.ts' */",
        "const load = () => import('./h.ts')",
        "const worker = new URL('./i.ts', import.meta.url)",
        "const wasm = new URL('./j.wasm', import.meta.url)",
        '',
      ].join('\n'),
    })
    const { lines, imports, libraries } = sources.get('core/a.ts')!
    expect(lines).toBe(12)
    expect(imports.toSorted()).toEqual([
      'core/b.ts',
      'core/d.ts',
      'core/e.ts',
      'core/h.ts',
      'core/i.ts',
      'models/c.ts',
    ])
    expect(libraries).toEqual(['node:fs'])
  })

  it('counts the layers only', () => {
    const sources = sourcesOf({ 'core/a.ts': '', 'test/b.ts': '', 'docs/c.ts': '', 'd.ts': '' })
    expect([...sources.keys()]).toEqual(['core/a.ts'])
  })
})

describe('the figures', () => {
  it('names a folder that directly holds more files than it may', () => {
    const sources = sourcesOf({ 'core/a.ts': '', 'core/b.ts': '', 'core/deep/c.ts': '' })
    expect(crowdedFolders(sources, 1)).toEqual([['core', 2]])
  })

  it('names small files that one file of their folder imports', () => {
    const sources = sourcesOf({
      'core/a.ts': "import './small.ts'\nimport './shared.ts'\nimport './deep/far.ts'\n",
      'core/b.ts': "import './shared.ts'\nimport './long.ts'\n",
      'core/small.ts': 'x\n',
      'core/shared.ts': 'x\n',
      'core/long.ts': 'x\n'.repeat(60),
      'core/deep/far.ts': 'x\n',
    })
    expect(smallSingleImporterFiles(sources)).toEqual([
      { path: 'core/small.ts', lines: 1, importer: 'core/a.ts' },
    ])
  })

  it('counts the imports of sibling folders both ways, wherever below them the files are', () => {
    const sources = sourcesOf({
      'core/x/a.ts': "import '../y/deep/b.ts'\nimport '../y/c.ts'\n",
      'core/y/deep/b.ts': '',
      'core/y/c.ts': "import '../x/d.ts'\nimport '../z/e.ts'\n",
      'core/x/d.ts': '',
      'core/z/e.ts': '',
    })
    expect(twoWayFolders(sources)).toEqual([{ folders: ['core/x', 'core/y'], there: 2, back: 1 }])
  })
})

describe('circles', () => {
  it('are found between files', () => {
    const sources = sourcesOf({
      'core/a.ts': "import './b.ts'\n",
      'core/b.ts': "import './c.ts'\n",
      'core/c.ts': "import './b.ts'\n",
    })
    expect(fileCircles(sources)).toEqual(['core/b.ts -> core/c.ts -> core/b.ts'])
    expect(folderCircles(sources, 'core')).toEqual([])
  })

  it('are found between folders by way of a third, though no files import each other', () => {
    const sources = sourcesOf({
      'core/x/a.ts': "import '../y/a.ts'\n",
      'core/y/a.ts': '',
      'core/y/b.ts': "import '../z/a.ts'\n",
      'core/z/a.ts': '',
      'core/z/b.ts': "import '../x/b.ts'\n",
      'core/x/b.ts': '',
    })
    expect(fileCircles(sources)).toEqual([])
    expect(twoWayFolders(sources)).toEqual([])
    expect(folderCircles(sources, 'core')).toEqual([
      'core/x > core/y > core/z > core/x (core/x/a.ts -> core/y/a.ts, core/y/b.ts -> core/z/a.ts, core/z/b.ts -> core/x/b.ts)',
    ])
  })

  it('are found between a folder and a file beside it', () => {
    const sources = sourcesOf({
      'core/x/a.ts': "import '../loose.ts'\n",
      'core/x/b.ts': '',
      'core/loose.ts': "import './x/b.ts'\n",
    })
    expect(parentFolders(sources)).toEqual(['', 'core', 'core/x'])
    expect(folderCircles(sources, 'core')).toHaveLength(1)
    expect(folderCircles(sources, '')).toEqual([])
  })
})

it('prints every figure', () => {
  const sources = sourcesOf({ 'core/a.ts': "import './b.ts'\n", 'core/b.ts': 'x\ny\n' })
  expect(structureReport(sources).split('\n')).toEqual([
    'files: 2',
    'lines: 3',
    'folders over 25 files: 0',
    'files under 60 lines with one importer, in the same folder: 1',
    '  core/b.ts (2 lines) <- a.ts',
    'sibling folders that import each other: 0',
    'circles between files: 0',
    'circles between folders: 0',
  ])
})
