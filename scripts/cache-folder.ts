import { homedir } from 'node:os'
import { join } from 'node:path'

/** Where what is made once is kept between runs: WEIR_CACHE, else the user's cache folder. */
export function cacheFolder(environment: Readonly<Record<string, string | undefined>>): string {
  if (environment.WEIR_CACHE) return environment.WEIR_CACHE
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'weir')
}
