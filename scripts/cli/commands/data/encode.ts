import type { Shard } from '../../../../data/embedding-cache.ts'
import { count, openTerminal } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, READ_OPTIONS } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'

const OPTIONS = optionTable({
  encoder: {
    flag: '--encoder <encoder>',
    schema: Text,
    required: true,
    help: 'use-lite, use-lite-static, hf:<dir> or openai:<model>',
  },
  cache: {
    flag: '--cache <folder>',
    schema: Text,
    writes: 'folder',
    help: 'folder for the embeddings',
    unset: 'embeddings in WEIR_CACHE, else in ~/.cache/weir',
  },
  shard: {
    flag: '--shard <i/n>',
    schema: Text,
    help: 'encode only part i of n, counted from 0, for n jobs side by side',
  },
  ...READ_OPTIONS,
  json: jsonOption('the result'),
})

/** `weir data encode <dataset|logs...> --encoder <encoder>` */
export const dataEncodeCommand = defineCommand({
  name: 'encode',
  description: 'encode every prompt into the embedding cache; resumes where an earlier run stopped',
  arguments: [['<logs...>', 'one dataset folder, or logs as weir data ingest takes them']],
  options: OPTIONS,
  examples: [
    'weir data encode datasets/logs --encoder use-lite',
    'weir data encode datasets/logs --encoder hf:models/e5-small --cache /shared/embeddings --shard $JOB_COMPLETION_INDEX/8',
  ],
  run,
})

async function run(logs: readonly string[], flags: Flags<typeof OPTIONS>): Promise<void> {
  const { join } = await import('node:path')
  const { availableParallelism } = await import('node:os')
  const { cacheFolder } = await import('../../../../models/encoders/cache.ts')
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { readOptions } = await import('../../log-options.ts')
  const { openDatasetOrLogs } = await import('../../../../data/ingest.ts')
  const { encodeToCache } = await import('../../../../data/embedding-cache.ts')
  const { makeNamedEncoder } = await import('../../../../models/encoders/registry.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const shard = flags.shard === undefined ? undefined : await parseShard(flags.shard)
  const dataset = await openDatasetOrLogs(logs, { ...(await readOptions(flags)), ...watch })
  const { encoder } = await makeNamedEncoder(flags.encoder, {
    cacheFolder: cacheFolder(process.env),
    workers: availableParallelism(),
    onProgress: terminal.onProgress,
  })
  const summary = await encodeToCache(dataset.prompts, encoder, {
    folder: flags.cache ?? join(cacheFolder(process.env), 'embeddings'),
    ...(shard && { shard }),
    ...watch,
  }).finally(() => encoder.close?.())
  terminal.endProgress()
  if (flags.json) terminal.json({ encoder: encoder.spec.id, ...summary })
  else {
    const { prompts, encoded, folder } = summary
    terminal.print(
      `${count(prompts)} prompts${shard ? ` of shard ${flags.shard}` : ''}: ${count(encoded)} encoded now, ${count(prompts - encoded)} before`,
    )
    terminal.print(`Embeddings: ${folder}`)
  }
}

async function parseShard(text: string): Promise<Shard> {
  const match = /^(\d+)\/(\d+)$/.exec(text)
  const index = Number(match?.[1])
  const of = Number(match?.[2])
  if (!(index < of && of <= 256)) {
    const { WeirError } = await import('../../../../core/errors.ts')
    const expected = 'i/n with i from 0 to n - 1 and n at most 256, such as 0/4'
    throw new WeirError('option_invalid', { option: '--shard', expected, got: text })
  }
  return { index, of }
}
