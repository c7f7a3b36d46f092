import { Command } from 'commander'
import { dataEncodeCommand } from './data-encode.ts'
import { dataFetchCommand } from './data-fetch.ts'
import { dataIngestCommand } from './data-ingest.ts'
import { dataInspectCommand } from './data-inspect.ts'

/** `weir data ingest|inspect|fetch|encode`: logs become datasets, and what is in them is shown. */
export function dataCommand(): Command {
  return new Command('data')
    .description('read logs into datasets, look at them, fetch public ones, encode their prompts')
    .addCommand(dataIngestCommand())
    .addCommand(dataInspectCommand())
    .addCommand(dataFetchCommand())
    .addCommand(dataEncodeCommand())
}
