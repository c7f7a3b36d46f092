import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'

export interface ServingProcess {
  readonly child: ChildProcess
  readonly url: string
  readonly admin: string
  /** headers of a request to the admin port */
  readonly asAdmin: { readonly authorization: string }
  /** what it has written to stderr */
  readonly errors: () => string
}

/**
 * Starts `weir serve --json` and waits for the line that says where it listens.
 *
 * @param node what node is told before `serve`: the command's file and how to load it
 * @param started the child is put here as soon as it runs, for the test to kill
 * @param cwd where it runs; where the test does unless told
 */
export async function startServing(
  node: readonly string[],
  options: readonly string[],
  started: ChildProcess[],
  cwd: string = process.cwd(),
): Promise<ServingProcess> {
  const child = spawn(process.execPath, [...node, 'serve', '--json', ...options], {
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  started.push(child)
  let errors = ''
  child.stderr!.on('data', (chunk) => {
    errors += chunk
  })
  const line = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).once('line', resolve)
    child.once('exit', (code) => reject(new Error(`ended with ${code}: ${errors}`)))
  })
  const { url, admin, admin_token_file } = JSON.parse(line) as Record<string, string>
  const token = admin_token_file === undefined ? '' : await readFile(admin_token_file, 'utf8')
  return {
    child,
    url: url!,
    admin: admin ?? '',
    asAdmin: { authorization: `Bearer ${token.trim()}` },
    errors: () => errors,
  }
}

/** Worker processes of a primary, by what Linux says of processes. */
export async function workersOf(pid: number): Promise<number[]> {
  const found: number[] = []
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue
    const stat = await readFile(`/proc/${name}/stat`, 'utf8').catch(() => '')
    const command = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '')
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    if (parent === pid && /\bweir\.[jt]s\b/.test(command)) found.push(Number(name))
  }
  return found
}
