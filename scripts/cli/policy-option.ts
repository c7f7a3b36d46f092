import { stat } from 'node:fs/promises'
import { WeirError } from '../../core/errors.ts'

/** `bundle` or `bundle@threshold`; a folder whose name holds an `@` is that folder. */
export async function policyOption(
  text: string,
): Promise<{ path: string; threshold: number | undefined }> {
  const at = text.lastIndexOf('@')
  const whole = await stat(text).then(
    () => true,
    () => false,
  )
  if (at <= 0 || whole) return { path: text, threshold: undefined }
  const digits = text.slice(at + 1)
  const threshold = /^(\d+\.?\d*|\.\d+)$/.test(digits) ? Number(digits) : Number.NaN
  if (!(threshold >= 0 && threshold <= 1)) {
    throw new WeirError('option_invalid', {
      option: '--policy',
      expected: 'bundle or bundle@threshold, the threshold from 0 to 1',
      got: text,
    })
  }
  return { path: text.slice(0, at), threshold }
}
