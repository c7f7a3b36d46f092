import { Command } from 'commander'
import type { Shard } from '../../../../data/embedding-cache.ts'
import { count, openTerminal } from '../../../terminal/terminal.ts'
import { addReadFlags, type ReadFlags } from '../../data-flags.ts'

interface EncodeFlags extends ReadFlags {
  readonly encoder: string
  readonly cache?: string
  readonly shard?: string
  readonly json?: boolean
}

/** `weir data encode <dataset|logs...> --encoder <encoder>` */
export function dataEncodeCommand(): Command {
  const command = new Command('encode')
    .description(
      'encode every prompt into the embedding cache; goes on where an earlier run stopped',
    )
    .argument('<logs...>', 'one dataset folder, or logs as weir data ingest takes them')
    .requiredOption('--encoder <encoder>', 'use-lite, use-lite-static, hf:<dir> or openai:<model>')
    .option('--cache <folder>', 'where embeddings are kept (WEIR_CACHE, else ~/.cache/weir)')
    .option('--shard <i/n>', 'only part i of n (from 0), for n jobs side by side')
  return addReadFlags(command)
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExamples:\n  weir data encode datasets/logs --encoder use-lite\n  weir data encode datasets/logs --encoder hf:models/e5-small --cache /shared/embeddings --shard $JOB_COMPLETION_INDEX/8',
    )
    .action(run)
}

async function run(logs: readonly string[], flags: EncodeFlags): Promise<void> {
  const { join } = await import('node:path')
  const { availableParallelism } = await import('node:os')
  const { cacheFolder } = await import('../../../../models/encoders/cache.ts')
  const { interruptSignal } = await import('../../../terminal/interrupt.ts')
  const { readOptions } = await import('../../data-flags.ts')
  const { openDatasetOrLogs } = await import('../../../../data/ingest.ts')
  const { encodeToCache } = await import('../../../../data/embedding-cache.ts')
  const { makeNamedEncoder } = await import('../../../../models/encoders/registry.ts')
  const terminal = openTerminal()
  const watch = { signal: interruptSignal(), onProgress: terminal.onProgress }
  const shard = flags.shard === undefined ? undefined : await parseShard(flags.shard)
  const dataset = await openDatasetOrLogs(logs, { ...readOptions(flags), ...watch })
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
