import { WeirError } from '../../core/errors.ts'
import type { Engine } from './engine.ts'

/** Every training engine, loaded on first use. `onnx` is the default. */
const ENGINES = {
  onnx: async () => (await import('./onnx-engine.ts')).createOnnxEngine(),
  tfjs: async () => (await import('./tfjs-engine.ts')).createTfjsEngine(),
} as const satisfies Record<string, () => Promise<Engine>>

export type EngineName = keyof typeof ENGINES
export const ENGINE_NAMES = Object.keys(ENGINES) as readonly EngineName[]

/** @throws option_invalid for an unknown name; engine_unavailable if its library is missing */
export function createEngine(name: string): Promise<Engine> {
  if (!Object.hasOwn(ENGINES, name)) {
    throw new WeirError(
      'option_invalid',
      { option: '--engine', expected: `one of ${ENGINE_NAMES.join(', ')}`, got: name },
      { param: 'engine' },
    )
  }
  return ENGINES[name as EngineName]()
}
