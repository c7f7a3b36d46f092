import { openTerminal, table } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption } from '../../log-options.ts'
import { type Flags, optionTable, Switch, Text } from '../../options.ts'

const BY = { flag: '--by <name>', schema: Text, required: true, help: 'your name' } as const
const FOLDER = {
  flag: '--to <dir>',
  schema: Text,
  required: true,
  help: 'folder of proposals, or postgres://...: the server’s gateway.require_approval',
} as const

const PROPOSE_OPTIONS = optionTable({
  by: BY,
  to: FOLDER,
  note: { flag: '--note <text>', schema: Text, help: 'what the file changes, and why' },
  json: jsonOption('the proposal'),
})
const APPROVE_OPTIONS = optionTable({ by: BY, to: FOLDER, json: jsonOption('the approval') })
const LIST_OPTIONS = optionTable({ json: jsonOption('the proposals, with their texts,') })
const AUDIT_OPTIONS = optionTable({
  diff: {
    flag: '--diff',
    schema: Switch,
    help: 'print the lines that each change removed and added',
  },
  json: jsonOption('the records and faults'),
})

/** `weir policy propose|approve|proposals|audit`: the two-person rule, and what was served when. */
export const AUDIT_COMMANDS = [
  defineCommand({
    name: 'propose',
    description: 'propose a policy file for another person’s approval',
    arguments: [['<file>', 'YAML or JSON']],
    options: PROPOSE_OPTIONS,
    examples: ['weir policy propose policy.yaml --by alice --to approvals'],
    run: runPropose,
  }),
  defineCommand({
    name: 'approve',
    description: 'approve someone else’s proposal, so that exactly this text may be served',
    arguments: [['<id>', 'as weir policy proposals lists it']],
    options: APPROVE_OPTIONS,
    examples: ['weir policy approve 3f2a91c0d4e7 --by bob --to approvals'],
    run: runApprove,
  }),
  defineCommand({
    name: 'proposals',
    description: 'list the proposals, and who approved them',
    arguments: [['<dir>', 'folder of proposals, or postgres://...']],
    options: LIST_OPTIONS,
    examples: ['weir policy proposals approvals'],
    run: runProposals,
  }),
  defineCommand({
    name: 'audit',
    description:
      'print which policy was served when, and check that no record was changed; exits 1 if one was',
    arguments: [['<log>', 'the server’s log folder, its audit.jsonl, or postgres://...']],
    options: AUDIT_OPTIONS,
    examples: ['weir policy audit logs'],
    run: runAudit,
  }),
]

async function runPropose(path: string, options: Flags<typeof PROPOSE_OPTIONS>): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  const { WeirError } = await import('../../../../core/errors.ts')
  const { checkPolicy } = await import('../../../../serving/policy/check.ts')
  const { propose } = await import('../../../../serving/audit/approvals.ts')
  const terminal = openTerminal()
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  // do not ask a reviewer to read a policy that could not be served
  checkPolicy(text, path)
  const { to, note } = options
  const by = await person(options.by)
  const given = { text, path, by, ...(note === undefined ? {} : { note }) }
  const proposal = await propose(to, given, new Date())
  if (options.json) {
    terminal.json(proposal)
    return
  }
  terminal.print(`Proposed ${proposal.id}: ${path} (sha256 ${proposal.sha256.slice(0, 12)})`)
  terminal.print(`Next, by someone else: weir policy approve ${proposal.id} --by NAME --to ${to}`)
}

async function runApprove(id: string, options: Flags<typeof APPROVE_OPTIONS>): Promise<void> {
  const { approve } = await import('../../../../serving/audit/approvals.ts')
  const terminal = openTerminal()
  const by = await person(options.by)
  const { proposal, approval } = await approve(options.to, id, by, new Date())
  if (options.json) {
    terminal.json(approval)
    return
  }
  terminal.print(`Approved ${id}: ${proposal.path} of ${proposal.by.name}, by ${by.name}`)
  if (proposal.by.user === by.user && proposal.by.host === by.host) {
    terminal.note(
      `proposed and approved by the same user, ${by.user}@${by.host}: nothing proves that they are two people`,
    )
  }
}

async function runProposals(folder: string, options: Flags<typeof LIST_OPTIONS>): Promise<void> {
  const { proposals } = await import('../../../../serving/audit/approvals.ts')
  const terminal = openTerminal()
  const all = await proposals(folder)
  if (options.json) {
    terminal.json(all)
    return
  }
  if (all.length === 0) {
    terminal.print(`nothing was proposed in ${folder}`)
    return
  }
  terminal.print(
    table([
      ['id', 'file', 'sha256', 'proposed', 'by', 'approved by', 'note'],
      ...all.map(({ proposal, approval }) => [
        proposal.id,
        proposal.path,
        proposal.sha256.slice(0, 12),
        proposal.time,
        `${proposal.by.name} (${proposal.by.user}@${proposal.by.host})`,
        approval ? `${approval.by.name} (${approval.by.user}@${approval.by.host})` : '',
        proposal.note ?? '',
      ]),
    ]),
  )
}

async function runAudit(path: string, options: Flags<typeof AUDIT_OPTIONS>): Promise<void> {
  const { verifyAudit } = await import('../../../../serving/audit/verify.ts')
  const { WeirError } = await import('../../../../core/errors.ts')
  const terminal = openTerminal()
  const report = await verifyAudit(path)
  const { records, faults, torn, head } = report
  if (options.json) terminal.json(report)
  else {
    terminal.print(
      table([
        ['time', 'event', 'name', 'hash', 'before', 'by', 'why', ''],
        ...records.map((record) => [
          record.time,
          record.event,
          record.name,
          record.hash?.slice(0, 12) ?? '',
          record.previous_hash?.slice(0, 12) ?? '',
          `${record.who.user}@${record.who.host}`,
          record.why,
          record.error ?? record.detail ?? approvedBy(record) ?? '',
        ]),
      ]),
    )
    if (options.diff) {
      for (const { seq, name, diff } of records) {
        if (diff) terminal.print(`\n${seq} ${name}\n${diff}`)
      }
    }
    if (torn > 0) terminal.note(`${torn} lines were cut off by a crash`)
    terminal.print(`${records.length} records; the last line’s sha256 is ${head}`)
  }
  const [first] = faults
  if (first) {
    const counted = `${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`
    throw new WeirError('audit_broken', { path: report.path, faults: counted, ...first })
  }
}

const approvedBy = (record: {
  readonly proposed_by?: string
  readonly approved_by?: string
}): string | undefined =>
  record.approved_by && `proposed by ${record.proposed_by}, approved by ${record.approved_by}`

/** The stated name, and where it was stated. */
async function person(name: string): Promise<{ name: string; user: string; host: string }> {
  const { WeirError } = await import('../../../../core/errors.ts')
  const { whoRuns } = await import('../../serve-process.ts')
  if (!/\S/.test(name)) {
    throw new WeirError('option_invalid', { option: '--by', expected: 'a name', got: '""' })
  }
  return { name: name.trim(), ...whoRuns() }
}
