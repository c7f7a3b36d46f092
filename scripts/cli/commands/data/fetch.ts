import { count, openTerminal, table } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { ENDPOINT_OPTION, jsonOption } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'

const OPTIONS = optionTable({
  cache: {
    flag: '--cache <folder>',
    schema: Text,
    writes: 'folder',
    help: 'folder to download to',
    unset: 'hub in WEIR_CACHE, else in ~/.cache/weir',
  },
  endpoint: ENDPOINT_OPTION,
  json: jsonOption('the result'),
})

/** `weir data fetch [id]` */
export const dataFetchCommand = defineCommand({
  name: 'fetch',
  description:
    'download a public dataset into the cache, checked and resumable; without a name, list them',
  arguments: [['[set]', 'an id, or hf://datasets/owner/name[@revision][/path]']],
  options: OPTIONS,
  notes: 'The token in HF_TOKEN is sent where it is set.',
  examples: [
    'weir data fetch',
    'weir data fetch lmsys-arena-55k',
    'weir data fetch hf://datasets/owner/name@main/data/train.parquet',
  ],
  run,
})

async function run(set: string | undefined, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { KNOWN_SETS, parseReference } = await import('../../../../data/hub/reference.ts')
  const terminal = openTerminal()
  if (set === undefined) {
    const sets = KNOWN_SETS.map(({ id, reference, about }) => ({ id, repo: reference.repo, about }))
    if (flags.json) terminal.json({ sets })
    else {
      terminal.print(
        table([['id', 'repository', ''], ...sets.map((it) => [it.id, it.repo, it.about])]),
      )
      terminal.print('\nNext: weir data fetch lmsys-arena-55k')
    }
    return
  }
  const { join } = await import('node:path')
  const { cacheFolder } = await import('../../../../models/encoders/cache.ts')
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { hubAccess } = await import('../../encoder-fetch.ts')
  const { fetchFromHub } = await import('../../../../data/hub/download.ts')
  const files = await fetchFromHub(parseReference(set), {
    folder: flags.cache ?? join(cacheFolder(process.env), 'hub'),
    ...hubAccess(flags.endpoint),
    signal: interruptSignal(),
    onProgress: terminal.onProgress,
  })
  terminal.endProgress()
  if (flags.json) terminal.json({ files })
  else {
    for (const { path, bytes, downloaded } of files) {
      terminal.print(`${path}: ${count(bytes)} bytes${downloaded ? '' : ', as it was'}`)
    }
    const logs = files.map(({ path }) => path)
    terminal.print(
      logs[0]?.endsWith('.pkl')
        ? `\nA Python pickle can run code and is not read. Next: python3 -c "import pandas; pandas.read_pickle('${logs[0]}').to_parquet('set.parquet')"`
        : `\nNext: weir data ingest ${logs.join(' ')} --out datasets/${set.replace(/^.*\/([^/@]+).*$/, '$1')}`,
    )
  }
}
