import { lstat, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { definedOnly } from '../../../core/defined.ts'
import { openTerminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Switch } from '../options.ts'

const OPTIONS = optionTable({
  maxSize: {
    flag: '--max-size <megabytes>',
    schema: Type.Number({ minimum: 0 }),
    help: 'remove what has not been written for longest until the cache is this small',
  },
  clear: { flag: '--clear', schema: Switch, help: 'remove all that Weir keeps there' },
  json: jsonOption('the sizes'),
})

/** `weir cache`: what the cache folder holds, and making it smaller. Nothing in it is the only copy of anything. */
export const cacheCommand = defineCommand({
  name: 'cache',
  description:
    'show what is kept between runs (embeddings, encoders, downloads, bundles), and make it smaller',
  arguments: [],
  options: OPTIONS,
  notes:
    'The folder is WEIR_CACHE, else weir in XDG_CACHE_HOME, else ~/.cache/weir. Other files in it are left alone. What is removed is made or downloaded again when it is needed.',
  examples: ['weir cache', 'weir cache --max-size 2000', 'weir cache --clear'],
  run,
})

/** What is removed as one: the embeddings of one encoder, a file of a converted one, one owner's downloads, one bundle. */
interface Entry {
  readonly kind: string
  readonly path: string
  readonly bytes: number
  /** of the file in it that was written last, milliseconds since 1970 */
  readonly written: number
}

async function run(flags: Flags<typeof OPTIONS>): Promise<void> {
  const { CACHE_PARTS, cacheFolder } = await import('../../../models/encoders/cache.ts')
  const { WeirError } = await import('../../../core/errors.ts')
  const terminal = openTerminal()
  if (flags.clear && flags.maxSize !== undefined) {
    const expected = 'one of --clear and --max-size'
    throw new WeirError('option_invalid', { option: '--clear', expected, got: 'both' })
  }
  const folder = cacheFolder(process.env)
  const entries = await entriesOf(folder, CACHE_PARTS)
  const most = flags.clear ? 0 : (flags.maxSize ?? Number.POSITIVE_INFINITY) * 1e6
  const removed: Entry[] = []
  let bytes = total(entries)
  for (const entry of entries.toSorted((a, b) => a.written - b.written)) {
    if (bytes <= most && !flags.clear) break
    await rm(entry.path, { recursive: true, force: true })
    bytes -= entry.bytes
    removed.push(entry)
  }
  const left = entries.filter((entry) => !removed.includes(entry))
  const kinds = Object.fromEntries(
    [...new Set(left.map(({ kind }) => kind))].sort().map((kind) => {
      const of = left.filter((entry) => entry.kind === kind)
      return [kind, { entries: of.length, bytes: total(of) }]
    }),
  )
  if (flags.json) {
    const gone = removed.length > 0 ? { entries: removed.length, bytes: total(removed) } : undefined
    terminal.json(definedOnly({ folder, bytes: total(left), kinds, removed: gone }))
    return
  }
  if (removed.length > 0) {
    terminal.print(`Removed ${inMegabytes(total(removed))} of ${inMegabytes(total(entries))}.`)
  }
  terminal.print(`${folder}: ${inMegabytes(total(left))}`)
  for (const [kind, of] of Object.entries(kinds)) {
    terminal.print(`  ${kind.padEnd(12)} ${inMegabytes(of.bytes).padStart(10)} in ${of.entries}`)
  }
}

const total = (entries: readonly Entry[]): number =>
  entries.reduce((sum, { bytes }) => sum + bytes, 0)

const inMegabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** The entries of a cache folder, which need not exist, in these folders of it. */
async function entriesOf(folder: string, kinds: readonly string[]): Promise<Entry[]> {
  const entries: Entry[] = []
  for (const kind of kinds) {
    for (const name of await namesIn(join(folder, kind))) {
      const path = join(folder, kind, name)
      entries.push({ kind, path, ...(await sizeOf(path)) })
    }
  }
  return entries
}

/** Names in a folder; none of a file, or of what is gone by now. Links are not followed. */
async function namesIn(path: string): Promise<string[]> {
  const info = await lstat(path).catch(() => undefined)
  return info?.isDirectory() ? readdir(path) : []
}

async function sizeOf(path: string): Promise<Pick<Entry, 'bytes' | 'written'>> {
  const info = await lstat(path).catch(() => undefined)
  let bytes = info?.isFile() ? info.size : 0
  let written = info?.isFile() ? info.mtimeMs : 0
  for (const name of await namesIn(path)) {
    const of = await sizeOf(join(path, name))
    bytes += of.bytes
    written = Math.max(written, of.written)
  }
  return { bytes, written }
}
