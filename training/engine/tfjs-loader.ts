import { createRequire } from 'node:module'
import { dirname, sep } from 'node:path'
import util from 'node:util'
import type * as TfModule from '@tensorflow/tfjs'
import { WeirError } from '../../core/errors.ts'

/** TensorFlow.js is imported only here, on first use. */
export type Tf = typeof TfModule
export type TfTensor = TfModule.Tensor
export type TfScalar = TfModule.Scalar
export type TfVariable = TfModule.Variable

export interface LoadedTfjs {
  readonly tf: Tf
  /** the chosen backend, its version, and why no faster one was chosen */
  readonly backend: string
}

export interface TfjsSource {
  /** imports a package by name, as `import()` does */
  readonly importModule: (name: string) => Promise<unknown>
  /** the folder of the WASM backend's binaries, ending in a separator */
  readonly wasmFolder: () => string
}

const NATIVE = '@tensorflow/tfjs-node'
const PORTABLE = '@tensorflow/tfjs'
const WASM = '@tensorflow/tfjs-backend-wasm'
const INSTALL = `npm i ${PORTABLE}@4.22 ${WASM}@4.22`

export const installedTfjs: TfjsSource = {
  importModule: (name) => import(name),
  wasmFolder: () => dirname(createRequire(import.meta.url).resolve(WASM)) + sep,
}

/**
 * Chooses the native backend if it is installed with its binding, else WASM (single-threaded: its threads are
 * many times slower under Node), else plain JavaScript.
 *
 * @throws engine_unavailable if TensorFlow.js is not installed
 */
export async function loadTfjs(source: TfjsSource = installedTfjs): Promise<LoadedTfjs> {
  restoreIsNullOrUndefined()
  const native = await attempt(source, NATIVE)
  if ('module' in native) {
    const tf = native.module as Tf
    return { tf, backend: `tfjs-node ${tf.version_core}` }
  }
  const portable = await attempt(source, PORTABLE)
  if (!('module' in portable)) {
    throw new WeirError(
      'engine_unavailable',
      { engine: 'tfjs', module: PORTABLE, reason: `${portable.reason}; ${INSTALL}` },
      { cause: portable.cause },
    )
  }
  const tf = portable.module as Tf
  tf.enableProdMode()
  const why = `${NATIVE}: ${native.reason}`
  const wasm = await attempt(source, WASM)
  if (!('module' in wasm)) return javascript(tf, `${why}; ${WASM}: ${wasm.reason}`)
  try {
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false)
    const { setWasmPaths } = wasm.module as { setWasmPaths: (folder: string) => void }
    setWasmPaths(source.wasmFolder())
    if (!(await tf.setBackend('wasm'))) throw new Error('the backend did not start')
  } catch (error) {
    return javascript(tf, `${why}; ${WASM}: ${firstLine(error)}`)
  }
  return { tf, backend: `tfjs ${tf.version_core} wasm, 1 thread (${why})` }
}

async function javascript(tf: Tf, why: string): Promise<LoadedTfjs> {
  await tf.setBackend('cpu')
  return { tf, backend: `tfjs ${tf.version_core} cpu (${why})` }
}

type Attempt = { module: unknown } | { reason: string; cause: unknown }

/** Distinguishes a package that is not installed from one without its native binding. */
async function attempt(source: TfjsSource, name: string): Promise<Attempt> {
  try {
    const loaded = (await source.importModule(name)) as { default?: unknown }
    return { module: loaded.default ?? loaded }
  } catch (cause) {
    const code = (cause as { code?: string }).code
    const missing = code === 'ERR_MODULE_NOT_FOUND' || code === 'MODULE_NOT_FOUND'
    const absent = missing && String(cause).includes(`'${name}'`)
    return {
      reason: absent ? 'not installed' : `installed but unusable (${firstLine(cause)})`,
      cause,
    }
  }
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0]!
}

/** tfjs-node 4.22 calls util.isNullOrUndefined, which Node 23 removed. */
function restoreIsNullOrUndefined(): void {
  const holder = util as unknown as Record<string, unknown>
  holder.isNullOrUndefined ??= (value: unknown) => value === null || value === undefined
}
