// biome-ignore-all lint/suspicious/noTemplateCurlyInString: what configurations hold
import { expect, test } from 'vitest'
import { withOverrides, withValues } from '../../core/config-values.ts'

const environment = { PASSWORD: 'p@ss', RATE: '60', EMPTY: '', YES: 'true', CODE: '007' }
const readText = (path: string): string => {
  if (path === '/run/secrets/db') return 'secret\n'
  throw new Error(`ENOENT: ${path}`)
}
const value = (config: unknown) => withValues(config, { environment, readText })

test('values come from the environment and from files, anywhere in the configuration', () => {
  expect(
    value({
      state: { stores: ['postgres://weir:${PASSWORD}@${HOST:-db}/weir'] },
      rate_per_minute: '${RATE}',
      flag: '${YES}',
      code: '${CODE}',
      token: 'file:/run/secrets/db',
      plain: '$${PASSWORD} costs $5',
      n: 3,
      nothing: null,
    }),
  ).toEqual({
    state: { stores: ['postgres://weir:p@ss@db/weir'] },
    rate_per_minute: 60,
    flag: true,
    code: '007',
    token: 'secret',
    plain: '${PASSWORD} costs $5',
    n: 3,
    nothing: null,
  })
})

test.each([
  [{ log: { folder: '${MISSING}/log' } }, 'log.folder: expected the environment variable MISSING'],
  [
    { a: ['${EMPTY}'] },
    'a[0]: expected the environment variable EMPTY, which ${EMPTY} stands for, got an empty one',
  ],
  [{ key: 'file:/none' }, 'key: expected a file that can be read at /none'],
])('%j is refused by its field', (config, message) => {
  expect(() => value(config)).toThrow(message)
})

test('WEIR_* variables set fields by their path, and nothing else', () => {
  const config = { log: { folder: 'a', text: 'none' }, gateway: { deadline_ms: 5 } }
  const fields = ['log', 'state', 'rate_per_minute', 'gateway']
  const set = {
    WEIR_LOG__FOLDER: '/var/log/weir',
    WEIR_STATE__STORES: '["memory"]',
    WEIR_STATE__REPLICAS: '3',
    WEIR_RATE_PER_MINUTE: '60',
    WEIR_ID_SECRET: 'x',
    WEIR___PROTO____POLLUTED: 'x',
    PATH: '/bin',
  }
  expect(withOverrides(config, set, fields)).toEqual({
    log: { folder: '/var/log/weir', text: 'none' },
    gateway: { deadline_ms: 5 },
    state: { stores: ['memory'], replicas: 3 },
    rate_per_minute: 60,
  })
  expect(config.log.folder).toBe('a')
  expect(() => withOverrides({}, { WEIR_STATE: '{' }, fields)).toThrow('WEIR_STATE: expected JSON')
})
