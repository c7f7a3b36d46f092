import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { writeBundle } from '../../models/bundle/write.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { buildApp } from '../../serving/server/app.ts'
import type { ServeConfig } from '../../serving/server/config.ts'
import { openServices, type ServiceOptions, type Services } from '../../serving/server/services.ts'

import { type SampleOptions, sampleDraft } from '../models/sample-bundle.ts'
import { loadWordEncoder } from '../models/word-encoder.ts'

export interface SampleApp {
  /** holds the bundles, and the log where one is asked for */
  readonly root: string
  readonly app: FastifyInstance
  readonly services: Services
  readonly config: ServeConfig
  /** the first router */
  readonly router: Router
  /** what was reported as our own fault */
  readonly bugs: unknown[]
  readonly warnings: string[]
  close(): Promise<void>
}

export interface SampleAppOptions {
  readonly bundles?: readonly SampleOptions[]
  readonly config?: (root: string) => Partial<ServeConfig>
  readonly services?: Partial<ServiceOptions>
}

/** Opens a bundle with the word encoder. */
export const loadSample = (path: string): Promise<Router> =>
  loadRouter(path, { loadEncoder: loadWordEncoder })

/** The application over sample bundles of its own. */
export async function sampleApp(options: SampleAppOptions = {}): Promise<SampleApp> {
  const root = await mkdtemp(join(tmpdir(), 'weir-app-'))
  const routers: { path: string }[] = []
  for (const bundle of options.bundles ?? [{}]) {
    const { manifest } = await writeBundle(root, sampleDraft(bundle))
    routers.push({ path: join(root, manifest.name) })
  }
  let closed = false
  const bugs: unknown[] = []
  const warnings: string[] = []
  // a busy machine is no reason to shed load in a test
  const config: ServeConfig = { routers, max_lag_ms: 60_000, ...options.config?.(root) }
  const services = await openServices(config, {
    load: loadSample,
    onBug: (error) => bugs.push(error),
    onWarning: (message, error) =>
      warnings.push(error instanceof Error ? `${message}: ${error.message}` : message),
    ...options.services,
  })
  const app = buildApp(services)
  return {
    root,
    app,
    services,
    config,
    router: [...services.fleet.snapshot!.routers.values()][0]!.router,
    bugs,
    warnings,
    async close() {
      if (closed) return
      closed = true
      await app.close()
      await services.close()
      await rm(root, { recursive: true })
    },
  }
}
