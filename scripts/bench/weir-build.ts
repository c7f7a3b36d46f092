import { execFile } from 'node:child_process'
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Builds what users run: compiled by tsc, without a loader. @returns the command's file */
export async function buildCommand(folder: string): Promise<string> {
  const home = join(import.meta.dirname, '../..')
  const tsc = join(home, 'node_modules/typescript/bin/tsc')
  const build = ['-p', join(home, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')]
  await promisify(execFile)(process.execPath, [tsc, ...build])
  await symlink(join(home, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'package.json'), '{"type":"module","version":"0.0.0"}')
  return join(folder, 'dist/scripts/weir.js')
}
