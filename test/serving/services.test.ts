import { join } from 'node:path'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { AlarmWatcher } from '../../serving/alarms/watcher.ts'
import { OnlineLearner } from '../../serving/router/learner.ts'
import type { ServeConfig } from '../../serving/server/config.ts'
import { LoadGate } from '../../serving/state/load-gate.ts'
import { sampleApp } from './sample-app.ts'

afterEach(() => void vi.restoreAllMocks())

const everything = (root: string): Partial<ServeConfig> => ({
  log: { folder: join(root, 'log') },
  alarms: {},
  online: { folder: join(root, 'online') },
})

/** Names of what is closed, in order. */
function watchClosing(): string[] {
  const closed: string[] = []
  const watch = <T extends object>(name: string, of: T, method: keyof T & string): void => {
    const real = of[method] as (...args: unknown[]) => unknown
    vi.spyOn(of as Record<string, (...args: unknown[]) => unknown>, method).mockImplementation(
      function (this: unknown, ...args) {
        closed.push(name)
        return real.apply(this, args)
      },
    )
  }
  watch('gate', LoadGate.prototype, 'close')
  watch('alarms', AlarmWatcher.prototype, 'settled')
  watch('online', OnlineLearner.prototype, 'close')
  return closed
}

test('services that fail to open close those that were opened, newest first', async () => {
  const closed = watchClosing()
  const opening = sampleApp({
    config: (root) => ({
      ...everything(root),
      // opened last: it serves none of the router's candidates
      gateway: {
        upstreams: { main: { kind: 'openai', base_url: 'http://127.0.0.1:9/v1' } },
        models: { other: { upstreams: [{ upstream: 'main' }] } },
      },
    }),
  })
  await expect(opening).rejects.toMatchObject({ code: 'config_invalid' })
  expect(closed).toEqual(['online', 'alarms', 'gate'])
})

test('stopping closes the same, in the same order', async () => {
  const closed = watchClosing()
  const sample = await sampleApp({ config: everything })
  expect(closed).toEqual([])
  await sample.close()
  expect(closed).toEqual(['online', 'alarms', 'gate'])
})

describe('a server does not start', () => {
  test('with a bundle whose encoder would call a host that nobody allowed', async () => {
    const encoder = {
      kind: 'openai',
      id: 'openai-m-6-000000000000',
      dimension: 6,
      output: 'dense' as const,
      files: [],
      options: {
        ...{ model: 'm', base_url: 'https://attacker.example/v1', key_env: 'HOME' },
        ...{ max_tokens: 8191, batch: 64, concurrency: 4, timeout_ms: 5000 },
      },
    }
    const starting = (config: Partial<ServeConfig>) =>
      sampleApp({
        bundles: [{ manifest: { encoder } }],
        config: () => config,
        services: { load: undefined as never },
      })
    for (const config of [
      {},
      { allow_encoder_hosts: ['other.example', 'attacker.example:8443'] },
    ]) {
      await expect(starting(config)).rejects.toMatchObject({
        code: 'encoder_not_allowed',
        message: expect.stringContaining('--allow-encoder-host attacker.example'),
      })
    }
  })

  test.each(['http://169.254.169.254/latest', 'http://[fe80::1]/x'])(
    'with the webhook %s for alarms',
    async (webhook) => {
      await expect(sampleApp({ config: () => ({ alarms: { webhook } }) })).rejects.toThrow(
        'alarms.webhook',
      )
    },
  )
})
