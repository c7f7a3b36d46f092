import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const ROOT = join(import.meta.dirname, '../..')

it('the Grafana dashboard asks only for metrics that the server has', () => {
  const dashboard = readFileSync(join(ROOT, 'docs/deploy/grafana-dashboard.json'), 'utf8')
  const asked = new Set(
    [...dashboard.matchAll(/\bweir_[a-z_]+/g)].map(([name]) => name.replace(/_bucket$/, '')),
  )
  const sources = readdirSync(join(ROOT, 'serving'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(join(ROOT, 'serving', file), 'utf8'))
    .join('\n')
  expect(asked.size).toBeGreaterThan(20)
  expect([...asked].filter((name) => !sources.includes(`'${name}'`))).toEqual([])
})
