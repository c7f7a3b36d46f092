import Type from 'typebox'

/** What `prev` of a log's first line is. */
export const GENESIS = '0'.repeat(64)

/** Who did it, as far as a process can know: the user it runs as, nothing more. */
export const AuditWho = Type.Object({
  user: Type.String(),
  host: Type.String(),
  /** of the server, the same for all of its workers */
  process: Type.Integer(),
})
export type AuditWho = Type.Static<typeof AuditWho>

/** One change of what is served, or one that was refused. */
export const AuditEvent = Type.Object({
  event: Type.Union([
    Type.Literal('policy_loaded'),
    Type.Literal('policy_refused'),
    Type.Literal('bundle_loaded'),
    Type.Literal('bundle_refused'),
    Type.Literal('bundle_rolled_back'),
  ]),
  /** the policy's or router's name; of a refused reload `routers` */
  name: Type.String(),
  path: Type.Optional(Type.String()),
  /** of a policy SHA-256 of its text, of a bundle its version */
  hash: Type.Optional(Type.String()),
  /** what served until then */
  previous_hash: Type.Optional(Type.String()),
  /** what asked for it: `start`, `SIGHUP`, `admin`, a change on disk */
  why: Type.String(),
  /** lines taken out (`-`) and put in (`+`), with their numbers */
  diff: Type.Optional(Type.String()),
  /** who proposed and approved it, where the server asks for that */
  proposed_by: Type.Optional(Type.String()),
  approved_by: Type.Optional(Type.String()),
  /** why it was refused */
  error: Type.Optional(Type.String()),
})
export type AuditEvent = Type.Static<typeof AuditEvent>

/** A line of `audit.jsonl`. */
export const AuditRecord = Type.Interface([AuditEvent], {
  object: Type.Literal('audit'),
  /** from 1 */
  seq: Type.Integer({ minimum: 1 }),
  /** ISO 8601, UTC */
  time: Type.String(),
  who: AuditWho,
  /** SHA-256 of the line before, in hex, without its newline: no line can be changed or taken out unseen */
  prev: Type.String({ pattern: '^[0-9a-f]{64}$' }),
})
export type AuditRecord = Type.Static<typeof AuditRecord>
