import { definedOnly } from '../../../core/defined.ts'
import type { ServeConfig } from '../../../serving/server/config.ts'
import { openTerminal, table } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const OPTIONS = optionTable({
  config: { flag: '--config <file>', schema: Text, required: true, help: 'as for weir serve' },
  json: jsonOption('the findings'),
})

/** What one check found. */
export interface Finding {
  readonly check: string
  readonly result: 'ok' | 'warning' | 'fault'
  readonly detail: string
}

/** Longest wait for an upstream or a store, in milliseconds. */
const WAIT_MS = 5000
/** Servers whose clock differs more from their database's show wrong waits to clients. */
const CLOCK_MS = 5000
const LEAST_DISK = 256 * 2 ** 20

/** `weir doctor`: what would stop a server, or hurt it later, before it is started. */
export const doctorCommand = defineCommand({
  name: 'doctor',
  description: 'check a server’s configuration, keys, upstreams, stores, clock and disk',
  arguments: [['[bundles...]', 'bundle folders, as for weir serve']],
  options: OPTIONS,
  notes:
    'It asks no model, and changes nothing. The exit code is 1 where something would stop the server.',
  examples: [
    'weir doctor --config weir.json',
    'weir doctor bundles/demo --config weir.json --json',
  ],
  run,
})

async function run(bundles: readonly string[], flags: Flags<typeof OPTIONS>): Promise<void> {
  const terminal = openTerminal()
  const findings = await examine(bundles, flags.config)
  if (flags.json) terminal.json(findings)
  else terminal.print(table(findings.map(({ check, result, detail }) => [check, result, detail])))
  if (findings.some(({ result }) => result === 'fault')) process.exitCode = 1
}

/** All checks, in order; the rest is left out where the configuration cannot be read. */
export async function examine(
  bundles: readonly string[],
  path: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): Promise<Finding[]> {
  const findings: Finding[] = []
  const check = async (name: string, work: () => Promise<string | Partial<Finding>>) => {
    try {
      const found = await work()
      const detail = typeof found === 'string' ? { detail: found } : found
      findings.push({ check: name, result: 'ok', detail: '', ...detail })
    } catch (error) {
      const { message, cause } = error as Error
      // fetch says what went wrong in its cause only
      const why = message === 'fetch failed' && cause instanceof Error ? `: ${cause.message}` : ''
      findings.push({ check: name, result: 'fault', detail: message + why })
    }
  }
  let config: ServeConfig | undefined
  await check('configuration', async () => {
    const { readServeConfig } = await import('../serve-config.ts')
    config = (await readServeConfig(bundles, { config: path }, environment)).config
    return `${path} is understood`
  })
  if (!config) return findings
  const { routers, gateway, log, state: section, store } = config
  for (const { path: bundle, key_env: keyEnv } of routers) {
    await check(`bundle ${bundle}`, async () => {
      const { isRemote } = await import('../../../models/bundle/remote/reference.ts')
      if (isRemote(bundle)) return askPlace(bundle, keyEnv, environment)
      const { loadRouter } = await import('../../../models/router.ts')
      const { manifest } = await loadRouter(
        bundle,
        definedOnly({ signers: config?.require_signature }),
      )
      return `${manifest.name} ${manifest.version}`
    })
  }
  for (const [name, upstream] of Object.entries(gateway?.upstreams ?? {})) {
    const { key_env: variable, base_url: url } = upstream as { key_env?: string; base_url?: string }
    if (variable !== undefined) {
      await check(`key of ${name}`, async () =>
        environment[variable]
          ? `${variable} is set`
          : Promise.reject(new Error(`${variable} is not set`)),
      )
    }
    if (url !== undefined) await check(`upstream ${name}`, () => reach(url))
  }
  const { stateSettings } = await import('../../../serving/state/config.ts')
  const state = stateSettings(section)
  for (const url of new Set([state.postgres, store].filter((one) => one?.startsWith('postgres')))) {
    await check('PostgreSQL', () => askPostgres(url!))
  }
  if (state.redis !== undefined) await check('Redis', () => askRedis(state.redis!))
  const counts = gateway?.budgets?.length ?? 0
  if (counts > 0) {
    await check('budgets', async () => {
      const { assertShared, spendFolderOf } = await import('../../../serving/budgets/open.ts')
      assertShared(state.replicas, state.postgres)
      const folder = spendFolderOf(gateway, log)
      if (!state.postgres && !folder) throw new Error('no folder and no store to keep them in')
      return `${counts}, kept in ${state.postgres ? 'PostgreSQL' : folder}`
    })
  }
  if (log) await check(`log folder ${log.folder}`, () => freeDisk(log.folder))
  return findings
}

/** Whether a bundle is there that is kept elsewhere. */
async function askPlace(
  bundle: string,
  keyEnv: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string> {
  const { parseReference } = await import('../../../models/bundle/remote/reference.ts')
  const { openStore } = await import('../../../models/bundle/remote/transfer.ts')
  const key = keyEnv === undefined ? undefined : environment[keyEnv]
  if (keyEnv !== undefined && !key) throw new Error(`${keyEnv} is not set`)
  const store = await openStore(parseReference(bundle, 'routers.path'), { key, environment })
  return `${await store.identity(AbortSignal.timeout(WAIT_MS))} is there`
}

/** Whether something answers at the address of an upstream; what it answers without a path does not matter. */
async function reach(url: string): Promise<string> {
  const { outgoingFetch, outgoingUrl } = await import('../../../core/outgoing.ts')
  const started = performance.now()
  const response = await outgoingFetch(outgoingUrl(url, 'base_url', {}), {
    method: 'GET',
    signal: AbortSignal.timeout(WAIT_MS),
  })
  await response.body?.cancel()
  return `answers after ${Math.round(performance.now() - started)} ms`
}

async function askPostgres(url: string): Promise<Partial<Finding>> {
  const { openPostgres, storeError } = await import('../../../records/postgres.ts')
  const pool = await openPostgres(url)
  try {
    const before = Date.now()
    const { rows } = await pool.query<{ now: string; version: string }>(
      `SELECT extract(epoch FROM clock_timestamp()) * 1000 AS now, current_setting('server_version') AS version`,
    )
    const own = (before + Date.now()) / 2
    const apart = Math.round(Number(rows[0]!.now) - own)
    const detail = `version ${rows[0]!.version}; its clock differs by ${apart} ms`
    return { result: Math.abs(apart) > CLOCK_MS ? 'warning' : 'ok', detail }
  } catch (cause) {
    throw storeError(url, cause)
  } finally {
    await pool.end()
  }
}

async function askRedis(url: string): Promise<string> {
  const { openRedis } = await import('../../../serving/state/redis.ts')
  const opened = await openRedis({ url, deadlineMs: WAIT_MS, replicas: 1, onWarning: () => {} })
  await opened.close()
  return 'answers'
}

async function freeDisk(folder: string): Promise<Partial<Finding>> {
  const { access, constants, statfs } = await import('node:fs/promises')
  const { makeFolders } = await import('../../../core/files.ts')
  makeFolders(folder)
  await access(folder, constants.W_OK)
  const { bavail, bsize } = await statfs(folder)
  const free = bavail * bsize
  const detail = `can be written; ${Math.round(free / 2 ** 20)} MB free`
  return { result: free < LEAST_DISK ? 'warning' : 'ok', detail }
}
