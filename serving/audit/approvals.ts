import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { makeFolders, writeWhole } from '../../core/files.ts'
import { readRegularFile } from '../../core/regular-file.ts'
import { isPostgresUrl, withPostgres } from '../../records/postgres.ts'
import { assertPersonName, nameFault, sameName } from './person-name.ts'

/** Who proposes or approves: the stated name, and the user and machine that it was stated from. */
const Person = Type.Object({
  name: Type.String({ minLength: 1 }),
  user: Type.String(),
  host: Type.String(),
})
export type Person = Type.Static<typeof Person>

/** `<id>.proposal.json`: the text of a policy that someone wants served. The id is a hash of text, author and time. */
export const Proposal = Type.Object({
  object: Type.Literal('policy.proposal'),
  id: Type.String({ pattern: '^[0-9a-f]{12}$' }),
  /** ISO 8601, UTC */
  time: Type.String(),
  by: Person,
  note: Type.Optional(Type.String()),
  /** the file that it was read from, for reviewers */
  path: Type.String(),
  /** SHA-256 of `text` */
  sha256: Type.String(),
  text: Type.String(),
})
export type Proposal = Type.Static<typeof Proposal>

/** `<id>.approval.json`: another person's approval of exactly this text. */
export const Approval = Type.Object({
  object: Type.Literal('policy.approval'),
  id: Type.String(),
  time: Type.String(),
  by: Person,
  /** of the policy's text */
  sha256: Type.String(),
  /** SHA-256 of the proposal's file */
  proposal_sha256: Type.String(),
})
export type Approval = Type.Static<typeof Approval>

export interface ProposalState {
  readonly proposal: Proposal
  /** absent unless someone other than the author approved exactly this text */
  readonly approval: Approval | undefined
}

const isProposal = Compile(Proposal)
const isApproval = Compile(Approval)

/** Writes a proposal. The same text may be proposed again. @throws name_invalid */
export async function propose(
  folder: string,
  given: {
    readonly text: string
    readonly path: string
    readonly by: Person
    readonly note?: string
  },
  now: Date,
): Promise<Proposal> {
  const { text, by, path, note } = given
  assertPersonName(by.name)
  const time = now.toISOString()
  const id = sha256(JSON.stringify([text, by, time])).slice(0, 12)
  const proposal: Proposal = {
    object: 'policy.proposal',
    id,
    time,
    by,
    ...(note === undefined ? {} : { note }),
    path,
    sha256: sha256(text),
    text,
  }
  await filesOf(folder).write(`${id}.proposal.json`, jsonText(proposal))
  return proposal
}

/** @throws name_invalid; proposal_missing; approval_refused where the author approves or the file was changed */
export async function approve(
  folder: string,
  id: string,
  by: Person,
  now: Date,
): Promise<ProposalState> {
  assertPersonName(by.name)
  const all = await proposals(folder)
  const found = all.find(({ proposal }) => proposal.id === id)
  if (!found) {
    const known = all.map(({ proposal }) => proposal.id).join(', ') || 'none'
    throw new WeirError('proposal_missing', { folder, known, id })
  }
  const { proposal } = found
  const refused = (reason: string): WeirError => new WeirError('approval_refused', { id, reason })
  if (samePerson(proposal.by, by)) {
    throw refused(`${by.name} proposed it, and another one must approve`)
  }
  if (found.approval) throw refused(`${found.approval.by.name} has approved it already`)
  const files = filesOf(folder)
  const bytes = await files.read(`${id}.proposal.json`)
  const approval: Approval = {
    object: 'policy.approval',
    id,
    time: now.toISOString(),
    by,
    sha256: proposal.sha256,
    proposal_sha256: sha256(bytes),
  }
  await files.write(`${id}.approval.json`, jsonText(approval))
  return { proposal, approval }
}

/** Every proposal whose text matches its hash, oldest first; changed files are left out. */
export async function proposals(folder: string): Promise<ProposalState[]> {
  const files = filesOf(folder)
  const names = await files.names()
  const found: ProposalState[] = []
  for (const name of names.filter((each) => /^[0-9a-f]{12}\.proposal\.json$/.test(each))) {
    const bytes = await files.read(name)
    const proposal = parsed(bytes)
    if (!isProposal.Check(proposal) || `${proposal.id}.proposal.json` !== name) continue
    if (sha256(proposal.text) !== proposal.sha256) continue
    const approval = parsed(
      await files.read(`${proposal.id}.approval.json`).catch(() => Buffer.alloc(0)),
    )
    const valid =
      isApproval.Check(approval) &&
      approval.id === proposal.id &&
      approval.sha256 === proposal.sha256 &&
      approval.proposal_sha256 === sha256(bytes) &&
      nameFault(approval.by.name) === undefined &&
      nameFault(proposal.by.name) === undefined &&
      !samePerson(approval.by, proposal.by)
    found.push({ proposal, approval: valid ? approval : undefined })
  }
  return found.sort((a, b) => (a.proposal.time < b.proposal.time ? -1 : 1))
}

/** The ids of all approved proposals in one string, which changes whenever one is approved or withdrawn. */
export async function approvalsIn(folder: string): Promise<string> {
  const approved = (await proposals(folder)).filter(({ approval }) => approval !== undefined)
  return approved.map(({ proposal }) => proposal.id).join(' ')
}

/** @throws policy_unapproved unless someone other than the author approved exactly this text */
export async function approvedState(
  folder: string,
  { text, path, hash }: { readonly text: string; readonly path: string; readonly hash: string },
): Promise<ProposalState & { readonly approval: Approval }> {
  const own = (await proposals(folder)).filter(({ proposal }) => proposal.text === text)
  for (const { proposal, approval } of own) if (approval) return { proposal, approval }
  const got = own.length > 0 ? `a proposal (${own.at(-1)!.proposal.id}) without one` : 'none'
  throw new WeirError('policy_unapproved', { path, hash, folder, got })
}

const samePerson = (a: Person, b: Person): boolean => sameName(a.name, b.name)

/** More than any policy has; what else lies in the folder is not waited for. */
const MAX_BYTES = 16 * 2 ** 20

/** Where proposals and approvals are: files by name. */
interface ApprovalFiles {
  names(): Promise<readonly string[]>
  /** @throws if there is none */
  read(name: string): Promise<Uint8Array>
  write(name: string, text: string): Promise<void>
}

const APPROVAL_SCHEMA = ['CREATE TABLE weir_approvals (name text PRIMARY KEY, body text NOT NULL)']

/** A folder, or `postgres://...`, which several servers share. */
function filesOf(place: string): ApprovalFiles {
  if (!isPostgresUrl(place)) {
    return {
      names: () => readdir(place).catch((): string[] => []),
      read: (name) => readRegularFile(join(place, name), { maxBytes: MAX_BYTES }),
      async write(name, text) {
        makeFolders(place)
        await writeWhole(join(place, name), text)
      },
    }
  }
  const ask = (sql: string, values: readonly string[] = []): Promise<Record<string, string>[]> =>
    withPostgres(place, 'approvals', APPROVAL_SCHEMA, async (client) => {
      const { rows } = await client.query<Record<string, string>>(sql, [...values])
      return rows
    })
  let bodies: Promise<ReadonlyMap<string, string>> | undefined
  const all = (): Promise<ReadonlyMap<string, string>> =>
    ask('SELECT name, body FROM weir_approvals').then(
      (rows) => new Map(rows.map(({ name, body }) => [name!, body!])),
    )
  return {
    async names() {
      bodies = all()
      return [...(await bodies).keys()]
    },
    async read(name) {
      bodies ??= all()
      const body = (await bodies).get(name)
      if (body === undefined) throw new WeirError('file_not_found', { path: name })
      return Buffer.from(body)
    },
    async write(name, text) {
      bodies = undefined
      await ask(
        'INSERT INTO weir_approvals VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET body = excluded.body',
        [name, text],
      )
    },
  }
}

const jsonText = (value: unknown): string => `${JSON.stringify(value, null, 2)}\n`

const sha256 = (data: string | Uint8Array): string =>
  createHash('sha256').update(data).digest('hex')

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
}
