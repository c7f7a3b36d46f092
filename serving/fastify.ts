import type { FastifyPluginAsync } from 'fastify'
import { addConventions, addEndpoints } from './server/app.ts'
import type { ServeConfig } from './server/config.ts'
import { openServices, type ServiceOptions } from './server/services.ts'

export type { ServeConfig } from './server/config.ts'

export interface WeirPluginOptions extends Partial<ServiceOptions> {
  /**
   * the same object that `weir serve --config FILE` reads: at least `{ routers: [{ path: 'bundles/demo' }] }`
   */
  readonly config: ServeConfig
}

/**
 * A fastify plugin that adds `POST /route`, `POST /route/batch`, `POST /feedback` and `GET /v1/models` and, where
 * the configuration has a `gateway`, `POST /v1/chat/completions`, `/v1/responses` and `/v1/embeddings`:
 * `app.register(weirRouter, { prefix: '/ai', config })`. Routers are loaded before the application is ready and
 * closed with it.
 *
 * Everything it sets (body parsing, validation, error answers, hooks) stays inside the plugin. Warnings and
 * failures go to the application's own logger unless `onWarning` and `onBug` are given. Answers of `/route` and
 * of the gateway are written to the socket directly: `onSend` hooks of the application do not see them.
 *
 * @throws WeirError from `ready()`: what is wrong with the configuration or the bundles
 */
export const weirRouter: FastifyPluginAsync<WeirPluginOptions> = async (app, options) => {
  const { config, prefix: _, ...given } = options as WeirPluginOptions & { prefix?: string }
  const services = await openServices(config, {
    onBug: (error, request) => app.log.error({ err: error, request }, 'weir failed'),
    onWarning: (message, error) => app.log.warn({ err: error }, message),
    ...given,
  })
  app.addHook('onClose', () => services.close())
  addConventions(app, services)
  // how the application is reached is its own matter
  addEndpoints(app, services, false)
}
