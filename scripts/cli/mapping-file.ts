import { Mapping } from '../../data/rows/mapping.ts'
import { assertFits, readSource } from './config-file.ts'

/**
 * Reads a mapping that is kept in a file (`--map tool.yaml`).
 *
 * @throws file_not_found; config_invalid with file and line
 */
export async function readMapping(path: string): Promise<Mapping> {
  const source = await readSource(path, 'a mapping')
  assertFits(Mapping, source.value, source)
  return source.value as Mapping
}
