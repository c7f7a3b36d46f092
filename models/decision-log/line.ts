import type { DecisionRecord } from './record.ts'

/**
 * A decision record as its line of JSON. Put together by hand, as it is written for every request:
 * only what may hold any text goes through JSON.stringify. Numbers are finite by contract.
 */
export function decisionLine(record: DecisionRecord): string {
  let line = `{"object":"decision","id":${quote(record.id)},"time":${record.time},"router":${quote(record.router)},"version":${quote(record.version)},"model":${quote(record.model)},"win_rate":${record.win_rate},"threshold":${record.threshold},"reason":"${record.reason}","propensity":${record.propensity},"prompt_hash":"${record.prompt_hash}"`
  if (record.propensities) line += `,"propensities":${JSON.stringify(record.propensities)}`
  if (record.base_win_rate !== undefined) line += `,"base_win_rate":${record.base_win_rate}`
  if (record.shadow) line += ',"shadow":true'
  if (record.audit) line += ',"audit":true'
  if (record.fallback_reason) line += `,"fallback_reason":${quote(record.fallback_reason)}`
  if (record.session_id !== undefined) line += `,"session_id":${quote(record.session_id)}`
  if (record.text !== undefined) line += `,"text":${quote(record.text)}`
  if (record.embedding !== undefined) line += `,"embedding":"${record.embedding}"`
  return `${line}}`
}

const quote = (text: string): string => JSON.stringify(text)
