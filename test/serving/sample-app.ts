import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { writeBundle } from '../../models/bundle/write.ts'
import { loadRouter, type Router } from '../../models/router.ts'
import { buildApp } from '../../serving/app.ts'
import { singleRouter } from '../../serving/router-source.ts'
import { type SampleOptions, sampleDraft } from '../models/sample-bundle.ts'
import { loadWordEncoder } from '../models/word-encoder.ts'

export interface SampleApp {
  readonly app: FastifyInstance
  readonly router: Router
  /** what was reported as our own fault */
  readonly bugs: unknown[]
  close(): Promise<void>
}

/** The application over a sample bundle of its own. */
export async function sampleApp(options: SampleOptions = {}): Promise<SampleApp> {
  const root = await mkdtemp(join(tmpdir(), 'weir-app-'))
  const { path } = await writeBundle(root, sampleDraft(options))
  const router = await loadRouter(path, { loadEncoder: loadWordEncoder })
  const bugs: unknown[] = []
  const app = buildApp({ routers: singleRouter(router), onBug: (error) => bugs.push(error) })
  return {
    app,
    router,
    bugs,
    async close() {
      await app.close()
      await router.close()
      await rm(root, { recursive: true })
    },
  }
}
