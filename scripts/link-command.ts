import { chmod, mkdir, rm, symlink } from 'node:fs/promises'
import { join, resolve } from 'node:path'

/**
 * Part of `npm ci`: puts this clone's `weir` where `npx weir` looks first. Without it npx installs the clone into a
 * cache of its own and builds it once more, silently and for half a minute, at its first call.
 */
const bin = resolve(import.meta.dirname, '../node_modules/.bin')
const link = join(bin, 'weir')
await mkdir(bin, { recursive: true })
await rm(link, { force: true })
await chmod(join(bin, '../../dist/scripts/weir.js'), 0o755)
try {
  await symlink('../../dist/scripts/weir.js', link)
} catch {
  // Windows allows links to administrators only; npx then takes its time
}
