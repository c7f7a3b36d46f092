import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { readServeConfig } from '../../scripts/cli/serve-config.ts'
import { stateSettings } from '../../serving/state/config.ts'

const DEPLOY = join(import.meta.dirname, '../../docs/deploy')
const documents = (name: string): Record<string, unknown>[] =>
  parseAllDocuments(readFileSync(join(DEPLOY, name), 'utf8')).map((one) => {
    expect(one.errors).toEqual([])
    return one.toJS()
  })

test('the configuration for Kubernetes keeps what servers share in stores', async () => {
  const environment = {
    WEIR_DB: 'postgres://weir@db/weir',
    WEIR_CACHE: 'redis://cache',
    APP_KEY_SHA256: 'a'.repeat(64),
  }
  const { config } = await readServeConfig(
    [],
    { config: join(DEPLOY, 'kubernetes/serve.yaml') },
    environment,
  )
  const [deployment] = documents('kubernetes/weir.yaml') as unknown as {
    spec: { replicas: number; template: { spec: object } }
  }[]
  expect(stateSettings(config.state)).toMatchObject({
    postgres: environment.WEIR_DB,
    redis: environment.WEIR_CACHE,
    replicas: deployment!.spec.replicas,
  })
  expect(config.store).toBe(environment.WEIR_DB)
  expect(config.gateway!.budgets!.length).toBeGreaterThan(0)
})

test('every manifest has what the others refer to, and alarms name metrics that the server has', () => {
  const all = [...documents('kubernetes/weir.yaml'), ...documents('kubernetes/monitoring.yaml')]
  const kinds = all.map(({ kind }) => String(kind))
  expect(kinds).toEqual([
    ...['Deployment', 'Service', 'HorizontalPodAutoscaler', 'PodDisruptionBudget', 'NetworkPolicy'],
    ...['ServiceMonitor', 'PrometheusRule'],
  ])
  for (const one of all) expect(one).toMatchObject({ metadata: { name: 'weir' } })
  const text = readFileSync(join(DEPLOY, 'kubernetes/monitoring.yaml'), 'utf8')
  const sources = ['server/metrics.ts', 'gateway/metrics.ts', 'budgets/open.ts'].map((name) =>
    readFileSync(join(DEPLOY, '../../serving', name), 'utf8'),
  )
  for (const [metric] of text.matchAll(/weir_[a-z_]+/g))
    expect(sources.join()).toContain(`'${metric}'`)
})

test('the compose file has every service that it depends on, and every volume', () => {
  const [compose] = documents('compose.yaml') as unknown as {
    services: Record<string, { depends_on?: object; volumes?: string[] }>
    volumes: object
  }[]
  const { services, volumes } = compose!
  expect(Object.keys(services)).toEqual(['weir', 'postgres', 'valkey', 'prometheus', 'grafana'])
  for (const { depends_on = {}, volumes: mounted = [] } of Object.values(services)) {
    for (const name of Object.keys(depends_on)) expect(services).toHaveProperty(name)
    for (const [name] of mounted.map((one) => one.split(':'))) {
      if (!name!.startsWith('.')) expect(volumes).toHaveProperty(name!)
    }
  }
})
