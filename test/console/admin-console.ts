import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { keyHash } from '../../serving/router/keys.ts'
import { buildAdminApp, localBackend } from '../../serving/server/admin.ts'
import type { Role } from '../../serving/server/console/contract.ts'
import { serverHandlers } from '../../serving/server/console/handlers.ts'
import { Traffic } from '../../serving/server/console/traffic.ts'
import { createReloader } from '../../serving/server/reloader.ts'
import { adminConsole } from '../../serving/server/run-server.ts'
import { type SampleApp, type SampleAppOptions, sampleApp } from '../serving/sample-app.ts'

/** A server with its console, without ports: `vera` looks, `otto` operates, `anna` approves. */
export interface ConsoleApp extends SampleApp {
  readonly admin: FastifyInstance
  readonly traffic: Traffic
  /** Asks an endpoint with the key of somebody with this role; a body makes it a POST. */
  ask(role: Role, path: string, body?: object): Promise<LightMyRequestResponse>
}

/** The names of the people, by role. */
export const PEOPLE = { viewer: 'vera', operator: 'otto', approver: 'anna' } as const

export async function consoleApp(options: SampleAppOptions = {}): Promise<ConsoleApp> {
  const traffic = new Traffic({ texts: 'redacted', now: Date.now })
  const pages = await mkdtemp(join(tmpdir(), 'weir-console-'))
  await mkdir(join(pages, 'assets'))
  await writeFile(join(pages, 'index.html'), '<!doctype html><title>console</title>')
  const keys = Object.entries(PEOPLE).map(([role, name]) => ({
    ...{ name, sha256: keyHash(`key of ${name}`.replaceAll(' ', '-')), console: role as Role },
  }))
  const sample = await sampleApp({
    ...options,
    config: (root) => ({ log: { folder: join(root, 'log') }, ...options.config?.(root), keys }),
    services: {
      observers: [traffic.observe],
      servedObservers: [traffic.served],
      ratingObservers: [traffic.outcomes.rated],
      ...options.services,
    },
  })
  const { services } = sample
  const reloader = createReloader({
    ...{ fleet: services.fleet, policies: services.policies, audit: services.bundleAudit },
    ...{ onReload: traffic.outcomes.reloaded.bind(traffic.outcomes), onNote: () => {} },
  })
  const backend = localBackend(services.fleet, reloader, async () => '', services.budgets?.report)
  const admin = buildAdminApp(backend, services, 'the-admin-token', {
    ...adminConsole(sample.config, serverHandlers(services, sample.config, traffic), Date.now),
    folder: pages,
  })
  return {
    ...sample,
    admin,
    traffic,
    ask: (role, path, body) =>
      admin.inject({
        ...{ method: body ? 'POST' : 'GET', url: `/console/api/${path}` },
        headers: { authorization: `Bearer key-of-${PEOPLE[role]}` },
        ...(body && { payload: body }),
      }),
    async close() {
      reloader.close()
      await admin.close()
      await sample.close()
      await rm(pages, { recursive: true })
    },
  }
}
