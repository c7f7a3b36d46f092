import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { built, ROOT } from '../built/build.ts'

const run = promisify(execFile)
const HOOKS = pathToFileURL(resolve(import.meta.dirname, 'module-hooks.mjs')).href

let folder: string
let trained: string
let bundle: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-examples-'))
  const sample = gunzipSync(await readFile(join(ROOT, 'data/sample/outcomes.jsonl.gz')))
  const log = join(folder, 'log.jsonl')
  await writeFile(log, sample.toString().split('\n').slice(0, 1500).join('\n'))
  trained = await example('train', [log, 'big-1', 'small-1', folder])
  bundle = join(folder, 'example')
}, 120_000)
afterAll(() => rm(folder, { recursive: true, force: true }))

/** Runs an example as a user does, against the built package, by the package's own name. */
async function example(name: string, args: readonly string[]): Promise<string> {
  const file = join(built(), 'examples', `${name}.js`)
  const { stdout } = await run(process.execPath, [file, ...args], { cwd: folder })
  return stdout
}

interface Loaded {
  /** what the program printed */
  readonly output: string
  /** URLs of the modules that it loaded, Node's own left out */
  readonly modules: readonly string[]
}

/** Runs a program in the built package. @param absent a package that is not installed there */
async function load(program: string, absent?: string): Promise<Loaded> {
  const file = join(built(), `examples/program-${process.pid}.mjs`)
  await writeFile(file, program)
  const env = { ...process.env, ABSENT: absent ?? '' }
  const args = ['--import', HOOKS, file]
  try {
    const { stdout, stderr } = await run(process.execPath, args, { cwd: folder, env })
    const modules = stderr.split('\n').filter((line) => line.startsWith('file:'))
    return { output: stdout.trim(), modules: modules.filter((url) => !url.includes('/program-')) }
  } finally {
    await rm(file)
  }
}

describe('the examples run:', () => {
  it('train.ts trains, calibrates and evaluates', () => {
    expect(trained).toContain('1500 prompts, models: big-1')
    expect(trained).toMatch(/APGR 0?\.\d+ on \d+ held-out prompts/)
    expect(trained).toMatch(/threshold 0\.\d+/)
    expect(trained).toContain('compared with random')
  })

  it('router.ts decides in the process', async () => {
    expect(await example('router', [bundle])).toMatch(/^(big|small)-1: the strong model wins with/)
  })

  it('fastify.ts answers under its prefix', async () => {
    expect(await example('fastify', [bundle])).toMatch(/^200 (big|small)-1/)
  })

  it('server.ts starts a server, and the client asks it', async () => {
    expect(await example('server', [bundle])).toMatch(/^http:\/\/127.* chose (big|small)-1/)
  })
})

const ROUTE = (path: string) => `
import { loadRouter } from 'weir-router/router'
const router = await loadRouter(${JSON.stringify(path)})
console.log((await router.route({ prompt: 'hello' })).model)
`

describe('what an export loads:', () => {
  it('the client, nothing but itself', async () => {
    const { output, modules } = await load(
      `import { WeirClient } from 'weir-router/client'; console.log(typeof WeirClient)`,
    )
    expect(output).toBe('function')
    expect(modules).toEqual([expect.stringMatching(/serving\/client\.js$/)])
  })

  it('the router, no training, no Arrow, no server and no runtime for a folded head', async () => {
    const { output, modules } = await load(ROUTE(bundle))
    expect(output).toMatch(/^(big|small)-1$/)
    const heavy =
      /\/(training|data|serving)\/|apache-arrow|@tensorflow|onnxruntime|\/fastify\/|\/pg\//
    expect(modules.filter((url) => heavy.test(url.replace(/^.*weir-tests\//, '')))).toEqual([])
  })
})

describe('without onnxruntime-node (npm i --omit=optional)', () => {
  const absent = 'onnxruntime-node'

  it('a folded lexical router loads and decides', async () => {
    expect((await load(ROUTE(bundle), absent)).output).toMatch(/^(big|small)-1$/)
  })

  it('what runs a graph ends with the line to run', async () => {
    const { output } = await load(
      `
import { loadRouter } from 'weir-router/router'
const router = await loadRouter(${JSON.stringify(bundle)})
await router.parity(['hello']).catch(({ code, message }) => console.log(code, message))
`,
      absent,
    )
    expect(output).toBe(
      'module_missing running an ONNX graph needs onnxruntime-node, which is not installed: npm i --ignore-scripts onnxruntime-node@1.30',
    )
  })
})
