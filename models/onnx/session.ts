import type * as Ort from 'onnxruntime-node'
import { WeirError } from '../../core/errors.ts'
import { refuseNativeTelemetry } from '../../core/native-telemetry.ts'

/** onnxruntime-node is imported only here, on first use: a router with a folded head never loads it. */
export type OrtModule = typeof Ort
export type OrtTensor = Ort.Tensor
export type OrtSession = Ort.InferenceSession

let loading: Promise<OrtModule> | undefined

/**
 * The package's install script fetches CUDA libraries that Weir does not use; `--ignore-scripts` skips them.
 */
const INSTALL = 'npm i --ignore-scripts onnxruntime-node@1.30'

/** @throws module_missing if it was left out (`--omit=optional`); onnx_failed if it cannot be loaded */
export function openOrt(): Promise<OrtModule> {
  refuseNativeTelemetry()
  loading ??= import('onnxruntime-node').catch((cause: unknown) => {
    loading = undefined
    throw isAbsent(cause)
      ? new WeirError(
          'module_missing',
          { what: 'running an ONNX graph', module: 'onnxruntime-node', reason: INSTALL },
          { cause },
        )
      : new WeirError('onnx_failed', { action: 'load', reason: String(cause) }, { cause })
  })
  return loading
}

/** True if it is not installed; false if it is installed without its native binding. */
const isAbsent = (cause: unknown): boolean =>
  (cause as { code?: string }).code === 'ERR_MODULE_NOT_FOUND' &&
  String(cause).includes("'onnxruntime-node'")

export interface SessionOptions {
  /** Threads inside one operator; 1 in servers, where requests are the parallel work. */
  readonly threads: number
}

export async function createSession(
  model: Uint8Array | string,
  options: SessionOptions,
): Promise<OrtSession> {
  const ort = await openOrt()
  const settings: Ort.InferenceSession.SessionOptions = {
    intraOpNumThreads: options.threads,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  }
  try {
    return typeof model === 'string'
      ? await ort.InferenceSession.create(model, settings)
      : await ort.InferenceSession.create(model, settings)
  } catch (cause) {
    throw new WeirError(
      'onnx_failed',
      { action: 'read the graph', reason: cause instanceof Error ? cause.message : String(cause) },
      { cause },
    )
  }
}
