import {
  type Adjusted,
  type ApiName,
  type Fields,
  type Refused,
  UntranslatableRequest,
} from './form.ts'

/**
 * What becomes of a field that has no place in the form: `kept` under its name; `hint`: left out, and the
 * client is told; `refused` by name, as the answer would be another one; `neutral`: it says nothing to a model.
 */
type RestRule = 'kept' | 'hint' | 'refused' | 'neutral'

/** Fields of a body of `/v1/messages` in a chat body; others are hints. */
const MESSAGES_REST: Readonly<Record<string, RestRule>> = {
  // files and programs at Anthropic, servers that it calls, the region that it computes in
  container: 'refused',
  mcp_servers: 'refused',
  inference_geo: 'refused',
  metadata: 'neutral',
  diagnostics: 'neutral',
  // of a whole conversation, as of its parts
  cache_control: 'neutral',
}

/** Fields of a body of `/v1/responses` in a chat body; others are hints. */
const RESPONSES_REST: Readonly<Record<string, RestRule>> = {
  service_tier: 'kept',
  safety_identifier: 'kept',
  prompt_cache_key: 'kept',
  prompt_cache_retention: 'kept',
  verbosity: 'kept',
  // stored at the provider: Weir keeps no conversations
  previous_response_id: 'refused',
  conversation: 'refused',
  prompt: 'refused',
  background: 'refused',
  store: 'refused',
  top_logprobs: 'refused',
  tool_choice: 'refused',
  stream_options: 'neutral',
}

/** Values that ask for what happens anyway. */
const isDefault = (field: string, value: unknown): boolean =>
  value === false ||
  value === 0 ||
  value === '' ||
  (field === 'truncation' && value === 'disabled') ||
  (field === 'service_tier' && value === 'auto') ||
  (typeof value === 'object' && value !== null && Object.keys(value).length === 0)

/** What a chat body gets of the fields that another API's body has beside the form. */
export function keptInChat(
  from: ApiName,
  rest: Fields,
  adjusted: Adjusted,
  refused: Refused,
): Record<string, unknown> {
  const rules = from === 'messages' ? MESSAGES_REST : RESPONSES_REST
  const kept: Record<string, unknown> = {}
  for (const [field, value] of Object.entries(rest)) {
    const rule = rules[field] ?? 'hint'
    if (rule === 'kept') kept[field] = value
    if (rule === 'kept' || rule === 'neutral' || isDefault(field, value)) continue
    if (rule === 'hint') adjusted(`${field} left out`)
    else refused(new UntranslatableRequest(`chat completions have no ${field}`, field))
  }
  return kept
}
