import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { CLIENT_NAMES } from '../../scripts/cli/client-settings.ts'
import { runWeir } from '../../scripts/cli/program.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-init-'))
  vi.spyOn(process, 'cwd').mockReturnValue(folder)
  vi.stubEnv('CODEX_HOME', join(folder, 'codex'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  vi.unstubAllEnvs()
  await rm(folder, { recursive: true })
})

/** What the command prints, and its exit code. */
async function init(...args: string[]): Promise<{ code: number; text: string }> {
  let text = ''
  const keep = (chunk: unknown): boolean => {
    text += String(chunk)
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(keep)
  vi.spyOn(process.stderr, 'write').mockImplementation(keep)
  const code = await runWeir(['init', ...args])
  return { code, text }
}
const read = (...path: string[]): Promise<string> => readFile(join(folder, ...path), 'utf8')

describe('weir init', () => {
  test.each(CLIENT_NAMES)('%s: prints what it would write, and writes it once', async (name) => {
    const options = ['--url', 'http://weir.test:9/v1/', '--model', 'weir/coder', '--json']
    const shown = JSON.parse((await init(name, ...options)).text)
    expect(shown.contents).toContain('http://weir.test:9')
    expect(shown.contents).not.toContain(':9/v1/v1')
    expect(shown.contents).toContain('weir/coder')
    expect(shown.contents).toContain('WEIR_API_KEY')
    await expect(readFile(shown.path, 'utf8')).rejects.toThrow('ENOENT')
    expect(JSON.parse((await init(name, ...options, '--write')).text).written).toBe(true)
    expect(await readFile(shown.path, 'utf8')).toBe(shown.contents)
    expect(JSON.parse((await init(name, ...options, '--write')).text).written).toBe(false)
  })

  test('keeps what else is in a file', async () => {
    await init('claude-code', '--write')
    const own = { env: { ANTHROPIC_MODEL: 'x', MINE: '1' }, permissions: { allow: ['Bash'] } }
    await writeFile(join(folder, '.claude', 'settings.json'), JSON.stringify(own))
    await init('claude-code', '--write', '--small', 'small-1')
    expect(JSON.parse(await read('.claude', 'settings.json'))).toMatchObject({
      env: { ANTHROPIC_MODEL: 'weir', MINE: '1', ANTHROPIC_DEFAULT_HAIKU_MODEL: 'small-1' },
      permissions: { allow: ['Bash'] },
    })
    await init('codex', '--write')
    await writeFile(join(folder, 'codex', 'config.toml'), '[tui]\nnotifications = true\n')
    await init('codex', '--write')
    const toml = await read('codex', 'config.toml')
    expect(toml).toMatch(/^model = "weir"\n/)
    expect(toml.trimEnd()).toMatch(/\[tui\]\nnotifications = true$/)
  })

  test.each([
    ['settings that are no JSON', 'claude-code', '.claude/settings.json', '{ // mine'],
    ['settings that are a list', 'opencode', 'opencode.json', '[]'],
    ['another model', 'codex', 'codex/config.toml', 'model = "gpt-5"'],
    ['a module of the same name', 'langchain', 'weir-client.mjs', 'export const x = 1'],
  ])('refuses a file with %s, and leaves it as it is', async (_, name, path, contents) => {
    await init(name, '--write')
    await writeFile(join(folder, path), contents)
    const { code, text } = await init(name, '--write')
    expect(code).toBe(2)
    expect(text).toContain(path)
    expect(await read(path)).toBe(contents)
  })

  test.each([
    [['copilot'], 'claude-code'],
    [['codex', '--url', 'weir.test'], 'http://'],
    [['codex', '--context', '10'], '1024'],
  ])('refuses %j', async (args, expected) => {
    const { code, text } = await init(...args)
    expect(code).toBe(2)
    expect(text).toContain(expected)
  })
})
