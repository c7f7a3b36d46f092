import { defineGroup } from '../../command.ts'
import { dataEncodeCommand } from './encode.ts'
import { dataFetchCommand } from './fetch.ts'
import { dataIngestCommand } from './ingest.ts'
import { dataInspectCommand } from './inspect.ts'

/** `weir data ingest|inspect|fetch|encode`: converts logs to datasets, and shows their contents. */
export const dataCommand = defineGroup(
  'data',
  'read logs into datasets, look at them, fetch public ones, encode their prompts',
  [dataIngestCommand, dataInspectCommand, dataFetchCommand, dataEncodeCommand],
)
