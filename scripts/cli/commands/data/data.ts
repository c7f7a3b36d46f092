import { defineGroup } from '../../command.ts'
import { dataEncodeCommand } from './encode.ts'
import { dataExportCommand } from './export.ts'
import { dataFetchCommand } from './fetch.ts'
import { dataIngestCommand } from './ingest.ts'
import { dataInspectCommand } from './inspect.ts'

/** `weir data ingest|inspect|fetch|encode|export`: converts logs to datasets and back, and shows their contents. */
export const dataCommand = defineGroup(
  'data',
  'read logs into datasets, look at them, fetch public ones, encode their prompts, export them',
  [dataIngestCommand, dataInspectCommand, dataFetchCommand, dataEncodeCommand, dataExportCommand],
)
