import type { ComponentType } from 'preact'
import type { EndpointName, Role, Session } from '../serving/server/console/contract.ts'
import type { IconName } from './parts/icons.tsx'

/** A view of the console: a page with a place in the navigation. Its file is loaded when it is opened. */
export interface View {
  /** its place in addresses: `#/ID` */
  readonly id: string
  readonly title: string
  readonly icon: IconName
  /** endpoints without which it is left out */
  readonly needs: readonly EndpointName[]
  /** left out for people with less */
  readonly role?: Role
  /** only of a console of a server, or only of `weir console` */
  readonly mode?: Session['mode']
  readonly load: () => Promise<{ readonly default: ComponentType }>
}

/** All views, in the order of the navigation; the first that a session has is the start. */
export const VIEWS: readonly View[] = [
  {
    id: 'overview',
    title: 'Overview',
    icon: 'overview',
    needs: ['overview'],
    load: () => import('./views/overview.tsx'),
  },
  {
    id: 'playground',
    title: 'Playground',
    icon: 'playground',
    needs: ['playground', 'overview'],
    load: () => import('./views/playground.tsx'),
  },
  {
    id: 'curve',
    title: 'Curve',
    icon: 'curve',
    needs: ['curve', 'overview'],
    load: () => import('./views/curve.tsx'),
  },
  {
    id: 'live',
    title: 'Live',
    icon: 'live',
    needs: ['decisions', 'overview'],
    load: () => import('./views/live.tsx'),
  },
  {
    id: 'money',
    title: 'Money',
    icon: 'money',
    needs: ['money'],
    load: () => import('./views/money.tsx'),
  },
  {
    id: 'health',
    title: 'Health',
    icon: 'health',
    needs: ['health'],
    load: () => import('./views/health.tsx'),
  },
  {
    id: 'data',
    title: 'Data',
    icon: 'data',
    needs: ['data', 'data_put', 'data_explain', 'data_train'],
    role: 'operator',
    load: () => import('./views/data.tsx'),
  },
]

/** The views that a session has. */
export const viewsOf = ({ endpoints, mode }: Session): readonly View[] =>
  VIEWS.filter(
    (view) =>
      view.needs.every((name) => endpoints.includes(name)) &&
      (view.mode === undefined || view.mode === mode),
  )
