import { WeirError } from '../models/errors.ts'
import type { Router } from '../models/router.ts'

/** Where the endpoints find the router of a request. */
export interface RouterSource {
  /** false until something can be routed */
  readonly ready: boolean
  /** @throws server_not_ready, router_unknown */
  pick(name: string | undefined): Router
}

/** One router, under its own name and under `default`. */
export function singleRouter(router: Router): RouterSource {
  const { name } = router.manifest
  return {
    ready: true,
    pick(asked) {
      if (asked === undefined || asked === name || asked === 'default') return router
      throw new WeirError(
        'router_unknown',
        { router: asked, known: `${name}, default` },
        { param: 'router' },
      )
    },
  }
}
