import { join, resolve } from 'node:path'
import { WeirError } from '../../../core/errors.ts'
import { versionFolder } from '../read.ts'
import { cacheHome, isRemote, parseReference } from './reference.ts'
import { pullBundle } from './transfer.ts'

/** Where a bundle of a server's configuration is on this machine. */
export interface BundlePlace {
  /** its NAME folder, or the folder of one version */
  readonly path: string
  /**
   * Brings it up to date, if it is kept elsewhere. Where that fails and a version is in the cache, it is served on,
   * and the failure is reported once until it changes.
   *
   * @throws as `pullBundle` does, if nothing is in the cache or `strict` is set and what is there now is refused
   */
  refresh(strict: boolean): Promise<void>
  /** As `refresh`, if the last time is long enough ago; never throws. */
  poll(): Promise<void>
}

export interface PlaceOptions {
  /** folder for bundles from elsewhere */
  readonly cache: string
  readonly signers?: readonly string[] | undefined
  readonly environment: Readonly<Record<string, string | undefined>>
  /** milliseconds between questions whether a tag has moved */
  readonly pollMs: number
  readonly onWarning: (message: string, error?: unknown) => void
}

/** Longest answer to the question whether a tag has moved, and download of what it moved to. */
const PULL_MS = 300_000

/** @param keyEnv the variable with the key for the place @throws config_invalid */
export function bundlePlace(
  path: string,
  keyEnv: string | undefined,
  { cache, signers, environment, pollMs, onWarning }: PlaceOptions,
): BundlePlace {
  if (!isRemote(path)) {
    const none = async (): Promise<void> => {}
    return { path: resolve(path), refresh: none, poll: none }
  }
  const reference = parseReference(path, 'routers.path')
  const home = cacheHome(cache, reference)
  const shown = reference.text
  let lastMs = Number.NEGATIVE_INFINITY
  let failure: string | undefined
  const pull = async (trusting: boolean): Promise<void> => {
    lastMs = performance.now()
    const key = keyEnv === undefined ? undefined : environment[keyEnv]
    if (keyEnv !== undefined && !key) {
      const expected = `the variable ${keyEnv} with the key for ${shown}`
      throw new WeirError('config_invalid', { where: 'routers.key_env', expected, got: 'nothing' })
    }
    const signal = AbortSignal.timeout(PULL_MS)
    await pullBundle(reference, { cache, signers, environment, key, signal, trusting })
    if (failure !== undefined) onWarning(`${shown}: can be read again`)
    failure = undefined
  }
  const report = (error: unknown): void => {
    const message = error instanceof Error ? error.message : String(error)
    if (message !== failure)
      onWarning(`${shown}: the version that was fetched before is still served`, error)
    failure = message
  }
  return {
    path: home,
    async refresh(strict) {
      try {
        await pull(false)
      } catch (error) {
        const isRefused = !(error instanceof WeirError) || error.code !== 'bundle_unavailable'
        const isCached = await versionFolder(home).then(
          () => true,
          () => false,
        )
        if (!isCached || (strict && isRefused)) throw error
        report(error)
      }
    },
    async poll() {
      if (performance.now() - lastMs < pollMs) return
      await pull(true).catch(report)
    },
  }
}

/** The folder of a cache for bundles from elsewhere. */
export const bundleCache = (cache: string): string => join(cache, 'bundles')
