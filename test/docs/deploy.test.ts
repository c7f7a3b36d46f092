import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
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
    WEIR_REDIS: 'redis://cache',
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
    redis: environment.WEIR_REDIS,
    replicas: deployment!.spec.replicas,
  })
  expect(config.store).toBe(environment.WEIR_DB)
  expect(config.gateway!.budgets!.length).toBeGreaterThan(0)
})

const MANIFESTS = ['weir.yaml', 'storage.yaml', 'jobs.yaml', 'monitoring.yaml']

interface Model {
  validate(): void
}

/** An object of the Kubernetes API, with the schema that the API publishes for its kind. */
async function modelOf(manifest: Record<string, unknown>): Promise<Model> {
  const { apiVersion, kind } = manifest as { apiVersion: string; kind: string }
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion]
  const folder = group?.endsWith('coreos.com')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models'
  const path = [folder, group, version].filter(Boolean).join('/')
  const module = (await import(path)) as Record<string, new (data: object) => Model>
  return new module[kind]!(manifest)
}

test('every manifest fits the schemas of the API', async () => {
  const all = MANIFESTS.flatMap((name) => documents(`kubernetes/${name}`))
  for (const manifest of all) (await modelOf(manifest)).validate()
  const kinds = new Set(all.map(({ kind }) => kind))
  for (const kind of ['Deployment', 'Job', 'PersistentVolumeClaim', 'PrometheusRule']) {
    expect(kinds).toContain(kind)
  }
  const [deployment] = documents('kubernetes/weir.yaml') as { spec: { replicas: unknown } }[]
  const wrong = { ...deployment!, spec: { ...deployment!.spec, replicas: 'two' } }
  expect((await modelOf(wrong)).validate.bind(await modelOf(wrong))).toThrow('replicas')
})

test('the Helm chart with its own values is the manifest, and has no value that nothing uses', () => {
  const chart = join(DEPLOY, 'helm/weir')
  const values = parse(readFileSync(join(chart, 'values.yaml'), 'utf8')) as Record<string, unknown>
  const used = new Set<string>()
  const rendered = readFileSync(join(chart, 'templates/weir.yaml'), 'utf8').replace(
    /\{\{ \.Values\.(\w+) \}\}/g,
    (_, name: string) => {
      used.add(name)
      expect(values).toHaveProperty(name)
      return String(values[name])
    },
  )
  // nothing but values is put in
  expect(rendered).not.toContain('{{')
  expect(parseAllDocuments(rendered).map((one) => one.toJS())).toEqual(
    documents('kubernetes/weir.yaml'),
  )
  expect(used).toEqual(new Set(Object.keys(values)))
  const [meta] = documents('helm/weir/Chart.yaml')
  const { version } = JSON.parse(readFileSync(join(DEPLOY, '../../package.json'), 'utf8')) as {
    version: string
  }
  expect(meta).toMatchObject({ apiVersion: 'v2', name: 'weir', version, appVersion: version })
})

test('every volume that a pod mounts is there, and pods run without rights', () => {
  const pods = MANIFESTS.flatMap((name) => documents(`kubernetes/${name}`)).flatMap(
    ({ spec }) => ((spec as { template?: { spec: Pod } }).template ?? []) as { spec: Pod }[],
  )
  interface Pod {
    readonly volumes: readonly { name: string; persistentVolumeClaim?: { claimName: string } }[]
    readonly securityContext: object
    readonly containers: readonly { volumeMounts: { name: string }[]; securityContext: object }[]
  }
  const claims = documents('kubernetes/storage.yaml').map(
    ({ metadata }) => (metadata as { name: string }).name,
  )
  const specs = pods.map(({ spec }) => spec)
  expect(specs).toHaveLength(3)
  for (const { volumes, containers, securityContext } of specs) {
    expect(securityContext).toMatchObject({ runAsNonRoot: true })
    const names = volumes.map(({ name }) => name)
    for (const { volumeMounts, securityContext: own } of containers) {
      expect(volumeMounts.map(({ name }) => name).sort()).toEqual([...names].sort())
      expect(own).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false })
    }
    for (const { persistentVolumeClaim: claim } of volumes) {
      if (claim) expect(claims).toContain(claim.claimName)
    }
  }
})

test('alarms name metrics that the server has', () => {
  const text = readFileSync(join(DEPLOY, 'kubernetes/monitoring.yaml'), 'utf8')
  const sources = ['server/metrics.ts', 'gateway/metrics.ts', 'budgets/open.ts'].map((name) =>
    readFileSync(join(DEPLOY, '../../serving', name), 'utf8'),
  )
  for (const [metric] of text.matchAll(/weir_[a-z_]+/g))
    expect(sources.join()).toContain(`'${metric}'`)
})

test('the compose file has every service that it depends on, and every volume', () => {
  const [compose] = documents('compose.yaml') as unknown as {
    services: Record<
      string,
      { depends_on?: object; volumes?: string[]; configs?: { source: string }[] }
    >
    volumes: object
    configs: Record<string, { content: string }>
  }[]
  const { services, volumes, configs } = compose!
  expect(Object.keys(services)).toEqual(['weir', 'postgres', 'valkey', 'prometheus', 'grafana'])
  for (const { content } of Object.values(configs))
    expect(parse(content)).toHaveProperty('apiVersion')
  for (const { depends_on = {}, volumes: mounted = [], configs: files = [] } of Object.values(
    services,
  )) {
    for (const { source } of files) expect(configs).toHaveProperty(source)
    for (const name of Object.keys(depends_on)) expect(services).toHaveProperty(name)
    for (const [name] of mounted.map((one) => one.split(':'))) {
      if (!name!.startsWith('.')) expect(volumes).toHaveProperty(name!)
    }
  }
})
