import { decisionLine } from '../models/decision-log/line.ts'
import type { DecisionRecord, LogContents } from '../models/decision-log/record.ts'
import type { LogWriter } from '../models/decision-log/writer.ts'
import { redact } from '../models/redaction.ts'
import type { DecisionEvent, DecisionObserver } from './decision/observer.ts'

/** Writes every decision to the log: by default its prompt's hash alone, the rest as switched on. */
export function logObserver(
  writer: LogWriter,
  holds: Pick<LogContents, 'text' | 'embedding'>,
): DecisionObserver {
  return (event) => {
    const record = toRecord(event)
    if (holds.text !== 'none') {
      record.text = holds.text === 'full' ? event.text : redact(event.text)
    }
    if (!holds.embedding) {
      writer.append(decisionLine(record))
      return
    }
    event.live.router.embed([event.text]).then(
      (embeddings) => {
        if (embeddings.kind === 'dense') {
          const { buffer, byteOffset, byteLength } = embeddings.values
          record.embedding = Buffer.from(buffer, byteOffset, byteLength).toString('base64')
        }
        writer.append(decisionLine(record))
      },
      // without its embedding rather than not at all
      () => writer.append(decisionLine(record)),
    )
  }
}

function toRecord({
  decision,
  request,
  hash,
  time,
  shadow,
  baseWinRate,
}: DecisionEvent): DecisionRecord {
  const record: DecisionRecord = {
    object: 'decision',
    id: decision.id,
    time,
    router: decision.router.name,
    version: decision.router.version,
    model: decision.model,
    win_rate: decision.win_rate,
    threshold: decision.threshold,
    reason: decision.reason,
    propensity: decision.propensity,
    prompt_hash: hash,
  }
  if (decision.propensity < 1) {
    record.propensities = Object.fromEntries(
      decision.candidates.map(({ model, propensity }) => [model, propensity]),
    )
  }
  if (baseWinRate !== undefined) record.base_win_rate = baseWinRate
  if (shadow) record.shadow = true
  if (decision.audit) record.audit = true
  if (decision.fallback_reason !== null) record.fallback_reason = decision.fallback_reason
  if (request.session_id !== undefined) record.session_id = request.session_id
  return record
}
