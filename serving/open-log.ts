import type { LogContents } from '../models/decision-log/record.ts'
import { type LogWriter, openLogWriter } from '../models/decision-log/writer.ts'
import { WeirError } from '../models/errors.ts'
import type { ServeConfig } from './config.ts'
import type { LiveRouter } from './fleet/live-router.ts'

type LogConfig = NonNullable<ServeConfig['log']>
type LogHolds = Pick<LogContents, 'text' | 'embedding' | 'metadata'>

/** What lines of the decision log hold beside the prompt's hash: as configured, by default nothing. */
export const logHolds = ({ text = 'none', embedding = false, metadata }: LogConfig): LogHolds => ({
  text,
  embedding,
  ...(metadata ? { metadata: true } : {}),
})

/** @throws config_invalid where embeddings are to be kept that a router does not have; what the disk says */
export function openLog(
  config: LogConfig,
  routers: ReadonlyMap<string, LiveRouter>,
  options: {
    readonly onWarning: (message: string, error?: unknown) => void
    /** names this process among several that write one log */
    readonly logOwner?: string
  },
): Promise<LogWriter> {
  const { folder, sync_ms, segment_mb } = config
  const holds = logHolds(config)
  for (const [name, live] of routers) {
    if (!holds.embedding || live.router.manifest.encoder.output === 'dense') continue
    throw new WeirError('config_invalid', {
      where: 'log.embedding',
      expected: `routers with dense embeddings (log.text keeps what makes sparse ones)`,
      got: name,
    })
  }
  return openLogWriter({
    folder,
    header: holds,
    ...(sync_ms === undefined ? {} : { syncMs: sync_ms }),
    ...(segment_mb === undefined ? {} : { segmentBytes: segment_mb * 2 ** 20 }),
    ...(options.logOwner === undefined ? {} : { owner: options.logOwner }),
    onHealth: (failure) =>
      options.onWarning(
        failure ? 'the decision log cannot be written' : 'the decision log is written again',
        failure,
      ),
  })
}
