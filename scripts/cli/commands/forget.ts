import Type from 'typebox'
import { count, openTerminal, table } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, keyValue, optionTable, Switch, Text, TextByName, Texts } from '../options.ts'

const OPTIONS = optionTable({
  session: { flag: '--session <id>', schema: Texts, help: 'delete the records of this session' },
  key: { flag: '--key <name>', schema: Texts, help: 'delete the records of this API key' },
  decision: {
    flag: '--decision <id>',
    schema: Texts,
    help: 'delete the records of this decision or request',
  },
  metadata: {
    flag: '--metadata <name=value>',
    schema: TextByName,
    help: 'delete the records whose logged metadata has this value, such as user=alice',
  },
  olderThan: {
    flag: '--older-than <days>',
    schema: Type.Number({ minimum: 0 }),
    help: 'delete every record older than this',
  },
  store: {
    flag: '--store <where>',
    schema: Text,
    help: 'also delete their feedback in postgres://...',
  },
  dryRun: { flag: '--dry-run', schema: Switch, help: 'count only; delete nothing' },
  json: jsonOption('what was deleted'),
})

/** `weir forget <logs...>`: deletes one person's records, or old ones, from decision logs and feedback. */
export const forgetCommand = defineCommand({
  name: 'forget',
  description:
    'delete the records of a session, key or user, or old ones, from decision logs and feedback',
  arguments: [['<logs...>', 'folders that weir serve --log or --store wrote']],
  options: OPTIONS,
  notes: `What belongs to a deleted request goes with it: its gateway line, its decisions and its feedback, also while that waits for a
store that is gone (name the folder of state.spool as well, if there is one). Segments that a
running server writes are left, named, and the command exits with 1: restart the server and run it again.
Not deleted: lines of audit.jsonl (they hold no request), spend entries (id, key, model, tokens, dollars), datasets (make
them again from the cleaned logs), and what bundles have learnt from the text, or keep of it (train --keep-text).`,
  examples: [
    'weir forget logs --metadata user=alice',
    'weir forget logs feedback --session 7f3c --dry-run',
    'weir forget logs --older-than 90',
  ],
  run,
})

const DAY_MS = 86_400_000

async function run(logs: readonly string[], flags: Flags<typeof OPTIONS>): Promise<void> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const { forget } = await import('../../../records/forget.ts')
  const terminal = openTerminal()
  const { session, key, decision, metadata, olderThan, store, dryRun = false } = flags
  if (
    [session, key, decision, metadata].every((given) => given.length === 0) &&
    olderThan === undefined
  ) {
    throw new WeirError('option_invalid', {
      option: 'the options',
      expected: 'one of --session, --key, --decision, --metadata and --older-than',
      got: 'none',
    })
  }
  if (store !== undefined && !/^postgres(ql)?:\/\//.test(store)) {
    const expected = 'postgres://... (a folder is one of <logs...>)'
    throw new WeirError('option_invalid', { option: '--store', expected, got: store })
  }
  const before = olderThan === undefined ? undefined : Date.now() - olderThan * DAY_MS
  const report = await forget(
    logs,
    {
      sessions: new Set(session),
      keys: new Set(key),
      ids: new Set(decision),
      metadata: new Map(metadata.map((text) => keyValue('--metadata', text))),
      before,
    },
    { dryRun, signal: interruptSignal() },
  )
  let stored: number | undefined
  if (store !== undefined && !dryRun) {
    const { forgetInPostgres } = await import('../../../records/feedback/postgres-store.ts')
    stored = await forgetInPostgres(store, report.ids, before, key)
  }
  if (report.in_use.length > 0) process.exitCode = 1
  if (flags.json) {
    terminal.json({ ...report, ...(stored === undefined ? {} : { stored }), dry_run: dryRun })
    return
  }
  const rows = Object.entries(report.deleted).map(([kind, lines]) => [kind, count(lines)])
  if (stored !== undefined) rows.push(['feedback in the store', count(stored)])
  terminal.print(
    rows.length > 0 ? table([['record', dryRun ? 'found' : 'deleted'], ...rows]) : 'Nothing fits.',
  )
  for (const path of report.in_use) {
    terminal.note(`not changed, a running process writes it: ${path}`)
  }
}
