import util from 'node:util'
import * as tfjs from '@tensorflow/tfjs'
import { expect, test } from 'vitest'
import { loadTfjs } from '../../../training/engine/tfjs-loader.ts'

const NATIVE = '@tensorflow/tfjs-node'
const PORTABLE = '@tensorflow/tfjs'
const WASM = '@tensorflow/tfjs-backend-wasm'

const missing = (name: string) =>
  Object.assign(new Error(`Cannot find package '${name}' imported from here`), {
    code: 'ERR_MODULE_NOT_FOUND',
  })

/** Stands for an installation: a module, or the error that importing it throws. */
function installation(modules: Readonly<Record<string, unknown>>) {
  return {
    importModule: async (name: string) => {
      const found = modules[name] ?? missing(name)
      if (found instanceof Error) throw found
      return found
    },
    wasmFolder: () => '/nowhere/',
  }
}

/** TensorFlow.js as the loader sees it, with backends that start or do not. */
function portable(starts: readonly string[]) {
  const started: string[] = []
  return {
    started,
    version_core: '4.22.0',
    enableProdMode: () => {},
    env: () => ({ set: () => {} }),
    setBackend: async (name: string) => {
      started.push(name)
      return starts.includes(name)
    },
  }
}

test('takes tfjs-node where it is installed with its binding', async () => {
  const native = { version_core: '4.22.0' }
  const { tf, backend } = await loadTfjs(installation({ [NATIVE]: { default: native } }))
  expect(tf).toBe(native)
  expect(backend).toBe('tfjs-node 4.22.0')
})

test('takes WASM on one thread where tfjs-node is absent, and says so', async () => {
  const modules = { [PORTABLE]: portable(['wasm']), [WASM]: { setWasmPaths: () => {} } }
  const { backend } = await loadTfjs(installation(modules))
  expect(backend).toBe('tfjs 4.22.0 wasm, 1 thread (@tensorflow/tfjs-node: not installed)')
})

test('tells a tfjs-node without its native binding from an absent one', async () => {
  const noBinding = Object.assign(
    new Error("Cannot find module '../lib/napi-v8/tfjs_binding.node'\nRequire stack: ..."),
    { code: 'MODULE_NOT_FOUND' },
  )
  const modules = {
    [NATIVE]: noBinding,
    [PORTABLE]: portable(['wasm']),
    [WASM]: { setWasmPaths: () => {} },
  }
  const { backend } = await loadTfjs(installation(modules))
  expect(backend).toContain('installed but unusable')
  expect(backend).toContain('tfjs_binding.node')
})

test.each([
  ['is absent', { [PORTABLE]: portable(['cpu']) }],
  ['does not start', { [PORTABLE]: portable(['cpu']), [WASM]: { setWasmPaths: () => {} } }],
])('falls back to plain JavaScript where WASM %s', async (_, modules) => {
  const { backend } = await loadTfjs(installation(modules))
  expect(backend).toContain('tfjs 4.22.0 cpu')
  expect(backend).toContain(WASM)
})

test('without TensorFlow.js the engine is unavailable and says what to install', async () => {
  await expect(loadTfjs(installation({}))).rejects.toMatchObject({
    code: 'engine_unavailable',
    message:
      'the tfjs engine needs @tensorflow/tfjs: not installed; npm i @tensorflow/tfjs@4.22 @tensorflow/tfjs-backend-wasm@4.22',
  })
})

test('puts util.isNullOrUndefined back for tfjs-node on Node 23 and later', async () => {
  const holder = util as unknown as Record<string, unknown>
  const before = holder.isNullOrUndefined
  delete holder.isNullOrUndefined
  await loadTfjs(installation({ [NATIVE]: { default: { version_core: '4.22.0' } } }))
  expect((holder.isNullOrUndefined as (v: unknown) => boolean)(null)).toBe(true)
  holder.isNullOrUndefined = before
})

test('the installed packages start WASM, which the engine is tested on', async () => {
  const { backend } = await loadTfjs()
  expect(backend).toContain(`tfjs ${tfjs.version_core} wasm`)
})
