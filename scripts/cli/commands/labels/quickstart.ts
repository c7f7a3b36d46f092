import { once } from 'node:events'
import Type from 'typebox'
import { WeirError } from '../../../../core/errors.ts'
import { keyboard, openTerminal } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, parsePrice } from '../../log-options.ts'
import { type Flags, numberOption, optionTable, Switch, Text } from '../../options.ts'

const OPTIONS = optionTable({
  config: {
    flag: '--config <file>',
    schema: Text,
    default: 'weir.yaml',
    help: 'the server’s configuration; made by asking for it if it does not exist',
  },
  models: {
    flag: '--models <strong,weak>',
    schema: Type.Array(Text),
    separator: ',',
    help: 'the two models to route between, the strong one first',
  },
  judge: { flag: '--judge <model>', schema: Text, help: 'the model that compares their answers' },
  budget: {
    flag: '--budget <usd>',
    schema: Type.Number({ exclusiveMinimum: 0, maximum: 1_000_000 }),
    help: 'most US dollars to spend',
  },
  sampleSize: {
    flag: '--sample-size <number>',
    schema: Type.Integer({ minimum: 1 }),
    unset: 'all prompts',
    help: 'how many of the prompts to ask',
  },
  out: {
    flag: '--out <folder>',
    schema: Text,
    writes: 'folder',
    default: 'collected',
    help: 'folder of the collection',
  },
  name: { flag: '--name <name>', schema: Text, default: 'first', help: 'name of the router' },
  strongShare: {
    flag: '--strong-share <share>',
    schema: Type.Number({ minimum: 0, maximum: 1 }),
    default: 0.3,
    help: 'share of the traffic that may go to the strong model',
  },
  labels: {
    flag: '--labels <number>',
    schema: Type.Integer({ minimum: 0 }),
    unset: '50 on a terminal, else 0',
    help: 'pairs of answers to label yourself, which corrects the judge; 0 leaves the judge uncorrected',
  },
  yes: { flag: '--yes', schema: Switch, help: 'do not stop at the price' },
  json: jsonOption('what was made'),
  serve: { flag: '--serve', schema: Switch, help: 'serve at the end, without asking' },
})
type QuickstartFlags = Flags<typeof OPTIONS>

/** `weir quickstart`: from prompts and API keys to a router that serves. */
export const quickstartCommand = defineCommand({
  name: 'quickstart',
  description:
    'from prompts and API keys to a router: collect, label, grade, train, evaluate, calibrate, serve',
  arguments: [['[prompts]', 'a file with a column prompt or messages; asked for if absent']],
  options: OPTIONS,
  notes:
    'Prints each command before it runs it, so that you can run them yourself; stops at the price before anything is spent. What is not given is\nasked for on a terminal. Run again, it goes on where it stopped.',
  examples: [
    'weir quickstart',
    'weir quickstart prompts.jsonl --models big,small --judge judge --budget 5 --config weir.yaml --yes',
  ],
  run,
})

async function run(prompts: string | undefined, flags: QuickstartFlags): Promise<void> {
  const { existsSync } = await import('node:fs')
  const terminal = openTerminal()
  // with --json, what the commands print goes to stderr
  const print = flags.json ? terminal.note : terminal.print
  const weir = (words: readonly string[]): Promise<void> =>
    runWeir(words, print, flags.json === true)
  const ask = await openQuestions()
  try {
    if (!existsSync(flags.config)) await writeConfig(flags.config, ask, terminal.note)
    const { readGatewayConfig } = await import('../../serve-config.ts')
    const { gateway } = await readGatewayConfig(flags.config)
    assertKeys(gateway.upstreams)
    const known = Object.keys(gateway.models).join(', ')
    const file = prompts ?? (await ask('Prompts file', 'the argument [prompts]'))
    const models =
      flags.models.length > 0
        ? flags.models
        : (await ask(`Strong and weak model, of ${known}`, '--models')).split(/[\s,]+/)
    if (models.length !== 2) {
      const got = models.join(',')
      throw new WeirError('option_invalid', { option: '--models', expected: 'two models', got })
    }
    const judge = flags.judge ?? (await ask(`Judge, of ${known}`, '--judge'))
    const budget =
      flags.budget ??
      numberOption('--budget', await ask('Most US dollars to spend', '--budget'), { min: 0 })!
    const [strong, weak] = models as [string, string]
    const collect = [
      ...['collect', file, '--models', models.join(','), '--judge', judge],
      ...['--config', flags.config, '--budget', String(budget), '--out', flags.out],
      ...(flags.sampleSize === undefined ? [] : ['--sample-size', String(flags.sampleSize)]),
    ]
    await weir([...collect, '--plan'])
    if (!flags.yes && !isYes(await ask(`Spend up to $${budget}? y or n`, '--yes'))) {
      print('Nothing was spent.')
      return
    }
    await weir(collect)
    const labels = flags.labels ?? (keyboard().present ? 50 : 0)
    if (labels > 0) {
      ask.close()
      await weir(['label', flags.out, '--number', String(labels)])
    }
    await weir(['grade', flags.out])
    const dataset = `${flags.out}/dataset`
    const bundle = `bundles/${flags.name}`
    const pair = ['--strong', strong, '--weak', weak]
    await weir(['train', dataset, ...pair, '--name', flags.name])
    await weir(['evaluate', bundle, dataset]).catch((error: unknown) => {
      // of a small collection too few prompts are held out; what train said of them stands
      if (!(error instanceof WeirError && error.code === 'quickstart_stopped')) throw error
      terminal.note('Going on: the held-out figures of weir train stand above.')
    })
    const share = ['--strong-share', String(flags.strongShare)]
    await weir(['calibrate', bundle, dataset, ...share])
    await weir(['grade', flags.out, '--router', bundle])
    const serve = ['serve', bundle, '--config', flags.config]
    if (flags.json) terminal.json({ config: flags.config, collection: flags.out, dataset, bundle })
    if (flags.serve) await weir(serve)
    else print(`\nServe it: ${commandLine(serve)}`)
  } finally {
    ask.close()
  }
}

const isYes = (text: string): boolean => /^y(es)?$/i.test(text.trim())

const quoted = (word: string): string =>
  /^[\w./:,=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`
const commandLine = (words: readonly string[]): string => `weir ${words.map(quoted).join(' ')}`

/** Runs one command of ours, as it is printed. @throws cancelled, quickstart_stopped */
async function runWeir(
  words: readonly string[],
  print: (line: string) => void,
  toStderr: boolean,
): Promise<void> {
  const { spawn } = await import('node:child_process')
  print(`\n$ ${commandLine(words)}`)
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...words], {
    stdio: ['inherit', toStderr ? 2 : 'inherit', 'inherit'],
  })
  // Ctrl-C reaches the command itself, which says how to go on
  const wait = (): void => {}
  process.on('SIGINT', wait)
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (ended, signal) => resolve(ended ?? (signal === null ? 70 : 130)))
  }).finally(() => process.off('SIGINT', wait))
  if (code === 0) return
  throw new WeirError('quickstart_stopped', { command: commandLine(words), code })
}

interface Questions {
  (question: string, flag: string): Promise<string>
  close(): void
}

/** Asks on a terminal; elsewhere what is missing is an error that names its flag. */
async function openQuestions(): Promise<Questions> {
  const { createInterface } = await import('node:readline/promises')
  const { input, output, present } = keyboard()
  let lines: ReturnType<typeof createInterface> | undefined
  let ended: Promise<undefined> | undefined
  const ask = async (question: string, flag: string): Promise<string> => {
    if (!present) {
      const expected = `${question.toLowerCase()}, as there is no terminal to ask on`
      throw new WeirError('option_invalid', { option: flag, expected, got: 'nothing' })
    }
    lines ??= createInterface({ input, output })
    ended ??= once(lines, 'close').then(() => undefined)
    const said = (await Promise.race([lines.question(`${question}: `), ended]))?.trim()
    if (said === undefined) {
      const expected = `an answer to "${question}"`
      throw new WeirError('option_invalid', { option: flag, expected, got: 'the end of the input' })
    }
    return said === '' ? ask(question, flag) : said
  }
  return Object.assign(ask, {
    close: () => {
      lines?.close()
      lines = undefined
      ended = undefined
    },
  })
}

/** Keys are read from the environment by name; one that is missing would fail at the first question. */
function assertKeys(upstreams: Readonly<Record<string, object>>): void {
  for (const [name, settings] of Object.entries(upstreams)) {
    const { key_env: variable } = settings as { key_env?: string }
    if (variable === undefined || process.env[variable]) continue
    throw new WeirError('config_invalid', {
      where: `gateway.upstreams.${name}.key_env`,
      expected: `the environment variable ${variable} with the key in it`,
      got: 'none',
    })
  }
}

/** A configuration with one provider and three models, by asking for them. */
async function writeConfig(
  path: string,
  ask: Questions,
  note: (line: string) => void,
): Promise<void> {
  const { yamlText } = await import('../../../../core/yaml-source.ts')
  const { writeWhole } = await import('../../../../core/files.ts')
  const flag = `--config FILE (${path} does not exist)`
  note(`${path} does not exist. A few questions make it; keys stay in the environment.`)
  const base = await ask('Address of the provider, such as https://api.openai.com/v1', flag)
  const variable = await ask('Environment variable with its key, such as OPENAI_API_KEY', flag)
  const models: Record<string, object> = {}
  for (const [name, what] of [
    ['strong', 'strong model'],
    ['weak', 'weak model'],
    ['judge', 'judge, which must be another model'],
  ] as const) {
    const model = await ask(`Provider’s name of the ${what}`, flag)
    const told = await ask('Its price in US dollars per million tokens, as in/out: 2.5/10', flag)
    const price = parsePrice('price', `${name}=${told}`)[1]
    const context = Number(await ask('Its context in tokens, such as 128000', flag))
    models[name] = { upstreams: [{ upstream: 'provider', model }], price, context }
  }
  const upstreams = { provider: { base_url: base, key_env: variable } }
  await writeWhole(path, yamlText({ gateway: { upstreams, models } }))
  note(`Wrote ${path}; its models are called strong, weak and judge.`)
}
