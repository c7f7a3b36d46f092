import { Command } from 'commander'
import { count, openTerminal, table } from '../../../terminal/terminal.ts'

interface FetchFlags {
  readonly cache?: string
  readonly endpoint?: string
  readonly json?: boolean
}

/** `weir data fetch [id]` */
export function dataFetchCommand(): Command {
  return new Command('fetch')
    .description(
      'download a public set into the cache: resumed, checked; without a name, lists them',
    )
    .argument('[set]', 'an id, or hf://datasets/owner/name[@revision][/path]')
    .option('--cache <folder>', 'where it goes (WEIR_CACHE, else ~/.cache/weir)')
    .option('--endpoint <url>', 'the hub (HF_ENDPOINT, else https://huggingface.co)')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nA token is taken from HF_TOKEN.\n\nExamples:\n  weir data fetch\n  weir data fetch lmsys-arena-55k\n  weir data fetch hf://datasets/owner/name@main/data/train.parquet',
    )
    .action(run)
}

async function run(set: string | undefined, flags: FetchFlags): Promise<void> {
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
  const { fetchFromHub } = await import('../../../../data/hub/download.ts')
  const endpoint = flags.endpoint ?? process.env.HF_ENDPOINT
  const token = process.env.HF_TOKEN
  const files = await fetchFromHub(parseReference(set), {
    folder: flags.cache ?? join(cacheFolder(process.env), 'hub'),
    ...(endpoint && { endpoint: endpoint.replace(/\/+$/, '') }),
    ...(token && { token }),
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
