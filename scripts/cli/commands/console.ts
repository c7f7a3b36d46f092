import Type from 'typebox'
import { openTerminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { type Flags, optionTable, Switch, Text } from '../options.ts'

const OPTIONS = optionTable({
  port: {
    flag: '--port <port>',
    schema: Type.Integer({ minimum: 0, maximum: 65_535 }),
    default: 8090,
    help: 'port of the page, on this machine only; 0 takes a free one',
  },
  out: {
    flag: '--out <folder>',
    schema: Text,
    default: 'weir-console',
    help: 'folder for dropped files, bundles that are trained and their reports',
  },
  json: { flag: '--json', schema: Switch, help: 'print the address as one JSON object' },
})

/** `weir console [paths...]`: the console over bundles and logs on this machine, without a server. */
export const consoleCommand = defineCommand({
  name: 'console',
  description:
    'look at bundles and logs in the browser, without a server; train from a dropped log',
  arguments: [
    ['[paths...]', 'bundle folders, decision logs, and logs to learn from, in any order'],
  ],
  options: OPTIONS,
  examples: ['weir console bundles/demo', 'weir console bundles/demo logs', 'weir console'],
  async run(paths, flags: Flags<typeof OPTIONS>) {
    const { interruptSignal } = await import('../../terminal/interrupt.ts')
    const { openLocalConsole } = await import('../../console/local.ts')
    const terminal = openTerminal()
    const signal = interruptSignal()
    const opened = await openLocalConsole({
      paths,
      out: flags.out,
      port: flags.port,
      onNote: terminal.note,
    })
    if (flags.json) terminal.json({ console: opened.url, pid: process.pid })
    else terminal.print(`Console: ${opened.url} (signs you in once, within 15 minutes)`)
    if (!signal.aborted) {
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    }
    await opened.close()
  },
})
