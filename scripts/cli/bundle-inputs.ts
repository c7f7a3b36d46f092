import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { WeirError } from '../../core/errors.ts'

export interface BundleInputs {
  readonly bundles: readonly string[]
  readonly logs: readonly string[]
}

/** Tells bundle folders from logs in one list of arguments. Throws `option_invalid` where either is missing. */
export async function splitInputs(inputs: readonly string[]): Promise<BundleInputs> {
  const bundles: string[] = []
  const logs: string[] = []
  for (const input of inputs) {
    if ((await exists(join(input, 'manifest.json'))) || (await exists(join(input, 'current')))) {
      bundles.push(input)
    } else logs.push(input)
  }
  const missing = bundles.length === 0 ? 'bundle' : logs.length === 0 ? 'log' : undefined
  if (missing) {
    throw new WeirError('option_invalid', {
      option: 'the arguments',
      expected: 'at least one bundle folder and one log',
      got: `no ${missing} in ${inputs.join(' ')}`,
    })
  }
  return { bundles, logs }
}

const exists = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  )
