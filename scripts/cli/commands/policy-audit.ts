import type { Command } from 'commander'
import { openTerminal, table } from '../../terminal/terminal.ts'
import { addCompareCommand } from './policy-compare.ts'

interface ProposeOptions {
  readonly to: string
  readonly by: string
  readonly note?: string
  readonly json?: boolean
}

/** `weir policy propose|approve|proposals|audit|compare`: the two-person rule, the audit log, and comparing policies. */
export function addAuditCommands(policy: Command): void {
  policy
    .command('propose')
    .description('propose a policy file, for another person to approve')
    .argument('<file>', 'YAML or JSON')
    .requiredOption('--by <name>', 'your name')
    .requiredOption('--to <dir>', 'folder of proposals: the server’s gateway.require_approval')
    .option('--note <text>', 'what it changes and why')
    .option('--json', 'print the proposal as JSON')
    .addHelpText('after', '\nExample:\n  weir policy propose policy.yaml --by alice --to approvals')
    .action(runPropose)
  policy
    .command('approve')
    .description('approve what someone else proposed, so that exactly this text may be served')
    .argument('<id>', 'id of the proposal, as weir policy proposals lists it')
    .requiredOption('--by <name>', 'your name')
    .requiredOption('--to <dir>', 'folder of proposals')
    .option('--json', 'print the approval as JSON')
    .addHelpText('after', '\nExample:\n  weir policy approve 3f2a91c0d4e7 --by bob --to approvals')
    .action(runApprove)
  policy
    .command('proposals')
    .description('list the proposals and who approved each')
    .argument('<dir>', 'folder of proposals')
    .option('--json', 'print them as JSON, with their texts')
    .addHelpText('after', '\nExample:\n  weir policy proposals approvals')
    .action(runProposals)
  policy
    .command('audit')
    .description('print the audit log, and verify that no line was changed; exit 1 if one was')
    .argument('<log>', 'the server’s log folder, or its audit.jsonl')
    .option('--diff', 'print the lines that each change removed and added')
    .option('--json', 'print the records and faults as JSON')
    .addHelpText('after', '\nExample:\n  weir policy audit logs')
    .action(runAudit)
  addCompareCommand(policy)
}

async function runPropose(path: string, options: ProposeOptions): Promise<void> {
  const { readFile } = await import('node:fs/promises')
  const { WeirError } = await import('../../../core/errors.ts')
  const { checkPolicy } = await import('../../../serving/policy/check.ts')
  const { propose } = await import('../../../serving/audit/approvals.ts')
  const terminal = openTerminal()
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  // nobody should have to read a policy that could not be served
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

async function runApprove(
  id: string,
  options: Pick<ProposeOptions, 'by' | 'to' | 'json'>,
): Promise<void> {
  const { approve } = await import('../../../serving/audit/approvals.ts')
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

async function runProposals(folder: string, options: { readonly json?: boolean }): Promise<void> {
  const { proposals } = await import('../../../serving/audit/approvals.ts')
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

async function runAudit(
  path: string,
  options: { readonly json?: boolean; readonly diff?: boolean },
): Promise<void> {
  const { verifyAudit } = await import('../../../serving/audit/verify.ts')
  const { WeirError } = await import('../../../core/errors.ts')
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
          record.error ?? approvedBy(record) ?? '',
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

/** The stated name, and where it is stated from. */
async function person(name: string): Promise<{ name: string; user: string; host: string }> {
  const { WeirError } = await import('../../../core/errors.ts')
  const { whoRuns } = await import('../serve-process.ts')
  if (!/\S/.test(name)) {
    throw new WeirError('option_invalid', { option: '--by', expected: 'a name', got: '""' })
  }
  return { name: name.trim(), ...whoRuns() }
}
