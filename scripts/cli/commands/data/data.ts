import { defineGroup } from '../../command.ts'
import { dataEncodeCommand } from './encode.ts'
import { dataFetchCommand } from './fetch.ts'
import { dataIngestCommand } from './ingest.ts'
import { dataInspectCommand } from './inspect.ts'

/** `weir data ingest|inspect|fetch|encode`: logs become datasets, and what is in them is shown. */
export const dataCommand = defineGroup(
  'data',
  'read logs into datasets, look at them, fetch public ones, encode their prompts',
  [dataIngestCommand, dataInspectCommand, dataFetchCommand, dataEncodeCommand],
)
