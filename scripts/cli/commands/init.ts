import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import Type from 'typebox'
import { openTerminal } from '../../terminal/terminal.ts'
import type { ClientName, Json, Settings } from '../client-settings.ts'
import { CLIENT_NAMES, CLIENTS } from '../client-settings.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { choiceOption, type Flags, optionTable, Switch, Text } from '../options.ts'

const OPTIONS = optionTable({
  url: {
    flag: '--url <address>',
    schema: Text,
    default: 'http://127.0.0.1:8080',
    help: 'where weir serve listens',
  },
  model: {
    flag: '--model <name>',
    schema: Text,
    default: 'weir',
    help: 'the router, alias, route or model that the client asks',
  },
  small: {
    flag: '--small <name>',
    schema: Text,
    unset: 'the value of --model',
    help: 'what is asked for titles and other housekeeping, for clients that have a name for it',
  },
  context: {
    flag: '--context <tokens>',
    schema: Type.Integer({ minimum: 1024 }),
    default: 200_000,
    help: 'tokens that every model behind the router holds: agents shorten a conversation before that',
  },
  write: {
    flag: '--write',
    schema: Switch,
    help: 'write the settings into the client’s file; what else is in a JSON file is kept, and no other file is changed',
  },
  json: jsonOption('the file and its contents'),
})

/** `weir init <client>`: prints or writes the settings with which a client asks Weir. */
export const initCommand = defineCommand({
  name: 'init',
  description: 'print or write the settings with which an agent or a library asks weir serve',
  arguments: [['<client>', `one of ${CLIENT_NAMES.join(', ')}`]],
  options: OPTIONS,
  notes: 'No key is written: clients read WEIR_API_KEY when they start.',
  examples: ['weir init claude-code', 'weir init codex --model weir/coder --write'],
  run,
})

async function run(given: string, flags: Flags<typeof OPTIONS>): Promise<void> {
  const name: ClientName = choiceOption('client', given, CLIENT_NAMES)
  const { model, context } = flags
  const facts = {
    url: await addressOf(flags.url),
    model,
    small: flags.small ?? model,
    context,
    environment: process.env,
    folder: process.cwd(),
  }
  const client = CLIENTS[name]
  const settings: Settings = client.settings(facts)
  const text = settings.kind === 'json' ? asJson(settings.fields) : settings.text
  const terminal = openTerminal()
  const written = flags.write ? await write(settings) : undefined
  if (flags.json) {
    terminal.json({ client: name, path: settings.path, contents: text, written: written ?? false })
    return
  }
  if (written === undefined) {
    terminal.print(`# ${settings.path}`)
    terminal.print(text.trimEnd())
  } else {
    const how = written ? `wrote the settings of ${client.what} to` : 'it is all there already:'
    terminal.print(`${how} ${settings.path}`)
  }
  terminal.print(`\n# then\n${client.start().join('\n')}`)
}

const asJson = (value: Json): string => `${JSON.stringify(value, null, 2)}\n`

/** The address without `/v1` and slashes at its end. */
async function addressOf(url: string): Promise<string> {
  const bare = url.replace(/\/+$/, '').replace(/\/v1$/, '')
  if (/^https?:\/\/[^/\s]+/.test(bare) && URL.canParse(bare)) return bare
  const { WeirError } = await import('../../../core/errors.ts')
  const expected = 'an address such as http://127.0.0.1:8080'
  throw new WeirError('option_invalid', { option: '--url', expected, got: url })
}

/** Writes the settings. @returns false if they were there. @throws option_invalid if the file says otherwise */
async function write(settings: Settings): Promise<boolean> {
  const { path } = settings
  const { WeirError } = await import('../../../core/errors.ts')
  const before = await textOf(path)
  const refuse = (expected: string, got: string): Error =>
    new WeirError('option_invalid', { option: `--write to ${path}`, expected, got })
  let after: string
  if (settings.kind === 'json') {
    let present: unknown = {}
    try {
      if (before?.trim()) present = JSON.parse(before)
    } catch {
      throw refuse('a JSON file without comments', 'another text; add the settings by hand')
    }
    if (!isObject(present)) throw refuse('a JSON object', JSON.stringify(present).slice(0, 40))
    const merged = mergedJson(present, settings.fields)
    if (JSON.stringify(merged) === JSON.stringify(present)) return false
    after = asJson(merged)
  } else {
    const { text, appends } = settings
    if (before?.includes(text.trim())) return false
    if (before?.trim() && !appends) throw refuse('no file', 'a file with other contents')
    const conflict = before && appends?.exec(before)?.[0]?.trim()
    if (conflict || before?.includes('[model_providers.weir]')) {
      const got = conflict || '[model_providers.weir]'
      throw refuse('none of these settings in it', `${got} ...; change it by hand`)
    }
    // settings outside of tables come first
    after = before?.trim() ? `${text}\n${before}` : text
  }
  const { makeFolders, writeWhole } = await import('../../../core/files.ts')
  try {
    makeFolders(dirname(path))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('file_unwritable', { path, reason }, { cause })
  }
  await writeWhole(path, after)
  return true
}

async function textOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    const { WeirError } = await import('../../../core/errors.ts')
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new WeirError('file_unreadable', { path, reason }, { cause })
  }
}

const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The fields set in it, at any depth; others are kept. */
function mergedJson(present: Json, fields: Json): Json {
  const merged: Record<string, Json[string]> = { ...present }
  for (const [field, value] of Object.entries(fields)) {
    const before = merged[field]
    merged[field] = isObject(value) && isObject(before) ? mergedJson(before, value) : value
  }
  return merged
}
