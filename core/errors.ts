/**
 * All errors that users or clients can get, in one table: code, message, HTTP status and the exit code of the
 * command. A message states what was expected, what came and where. Anything thrown that is not a WeirError
 * is a bug and keeps its stack.
 */
interface ErrorRow {
  /** `{name}` is filled from the parameters. */
  readonly message: string
  readonly status: number
  readonly exit: number
}

const row = (message: string, status = 500, exit = 1): ErrorRow => ({ message, status, exit })

export const ERRORS = {
  // files and logs
  file_not_found: row('expected a file or folder at {path}, found none'),
  file_unreadable: row('could not read {path}: {reason}'),
  file_unwritable: row('could not write {path}: {reason}'),
  file_failed: row('could not {call} {path}: {reason}'),
  file_truncated: row('expected a whole compressed file, but {path} ends early: {reason}'),
  file_too_large: row('refused {path}: it {reason}'),
  format_unknown: row(
    'could not tell what {path} holds: expected one of {expected}; its columns are {got}',
  ),
  labels_missing: row(
    '{path} holds prompts, and nothing that says how well a model answered them. Ask models and grade their answers: weir collect {path} --models big,small --judge judge --config weir.yaml --budget 5 --plan (docs/collect.md); or add scores or votes (docs/data.md)',
  ),
  query_failed: row('--query could not be read: {reason}', 400, 2),
  column_missing: row('expected a column {column} in {path}, got {got}'),
  models_unclear: row(
    '{path}: expected to see which columns are models; undecided are {doubts}: name the models, such as --models-from {example}',
    400,
    2,
  ),
  row_invalid: row('{path}:{line}: {field}: {reason}'),
  too_many_rejects: row(
    '{rejected} of {read} rows were refused, more than --max-rejects {limit} allows; see {rejects}. First: {first}',
  ),
  rows_too_few: row('expected at least {expected} rows {what}, got {got}'),
  labels_one_class: row(
    'expected prompts where {strong} does better and others where it does not; all {rows} rows say the same ({label})',
  ),
  model_unknown: row('model {model} is not in the log; it has: {known}'),
  pair_fixed: row(
    'the router {name} was trained for one pair and knows no other; --router mf learns all models of a log',
  ),
  models_equal: row('expected two different models, got {model} for both --strong and --weak'),
  dataset_invalid: row('expected a weir dataset at {path}: {reason}'),
  // collecting labels
  collection_invalid: row('expected a collection of weir collect at {path}: {reason}'),
  collection_other: row(
    '{path} holds a collection with {what} {before}, not {now}: take another --out for a new one',
    400,
    2,
  ),
  collection_busy: row('{path} is in use by {holder}', 503),
  collection_stopped: row('{count} questions in a row failed; the last one: {reason}', 502),
  judge_is_candidate: row(
    'expected a judge that is none of the models compared, got {judge}, which answers as {model}: models favour their own answers. Take another, or allow it with --judge-may-be-candidate',
    400,
    2,
  ),
  quickstart_stopped: row('stopped at a step that ended with {code}: {command}'),
  // the hub
  hub_denied: row(
    '{url} answered {status}: it needs a token (HF_TOKEN) whose account accepted the terms of {repo}',
  ),
  hub_not_found: row('{url} answered 404: no {what} there'),
  hub_failed: row('could not fetch {url}: {reason}'),
  download_corrupt: row('{path} does not match what the hub says: expected {expected}, got {got}'),
  // locks
  lock_timeout: row('another process still holds the lock of {path} after {waited} ms', 503),
  lock_unavailable: row('cannot take a lock on {path}: {reason}'),
  // values
  option_invalid: row('expected {expected} for {option}, got {got}', 400, 2),
  option_unknown: row('{message}', 400, 2),
  // training
  engine_unavailable: row('the {engine} engine needs {module}: {reason}'),
  training_diverged: row('training gave {value} at epoch {epoch}; try a lower learning rate'),
  export_mismatch: row(
    'export refused: ONNX Runtime and the plain forward pass differ by {difference} (at most {limit} allowed) with {flipped} decisions flipped',
  ),
  import_mismatch: row(
    'import refused: the outputs differ from the golden ones by up to {difference} (at most {limit} allowed), most on {where}: expected {expected}, got {got}',
  ),
  // evaluation
  evaluation_invalid: row('expected {expected}, got {got}'),
  // calibration
  calibration_data_short: row(
    'not enough data to promise {target}: {rows} calibration rows; about {more} more rows would do',
  ),
  calibration_impossible: row(
    'cannot promise {target}: on these {rows} calibration rows no threshold keeps it; {found}',
  ),
  budget_too_small: row(
    'a budget of {budget} dollars per 1,000 requests is less than the {cost} that always-weak costs here',
  ),
  not_calibrated: row(
    '{path} has no certificate of a calibration to compare with: run weir calibrate first',
  ),
  shift_too_large: row(
    'the target prompts are too unlike the calibration rows to vouch for: {rows} rows are worth {effective} after re-weighting (at least {needed} needed) and cover about {cover} of the target mix; collect outcomes on the new mix',
  ),
  calibration_needs: row('{target} needs {needed}'),
  quality_gap_unclear: row(
    'the gap between always-strong and always-weak is not clear of 0 on {rows} rows: {gap} [{low}, {high}]; a share of it cannot be kept',
  ),
  // the learning loop
  overlap_missing: row(
    '{strong} and {weak} cannot be compared on this log: {single} prompts were answered by one of them only, {paired} by both, and {reason}. Let chance decide some requests (weir serve --explore 0.1), have both models answer a share of them (audits), or ask both about {rows} prompts',
  ),
  ope_propensities_missing: row(
    '{rows} of {total} decisions with an outcome were certain (propensity 1): nothing shows what another model would have done there; serve with exploration (--explore) or a split first',
  ),
  ope_unsupported: row(
    'the policy sends {share} of the requests where the log never could have (at most {limit}); explore there first',
  ),
  ope_sample_small: row(
    'the log is worth {effective} outcomes under this policy (at least {needed} needed): {rows} rows; log more, explore more, or ask for a policy nearer to the one that served',
  ),
  log_needs: row('{what} needs the prompts: serve with {option}, {path} holds text: {got}'),
  log_lacks: row('{what} needs {needed}: serve with {option}; {path} was written without'),
  promotion_refused: row('{candidate} is not promoted: {reason}'),
  history_missing: row('{path} has no promotion history yet; weir promote starts one'),
  store_unavailable: row('the store {store} cannot be used: {reason}', 503),
  state_invalid: row('{path} does not hold the state of {what}: {reason}'),
  // bundles and encoders
  bundle_invalid: row('expected a weir bundle at {path}: {reason}'),
  bundle_corrupt: row('{path} does not match its hash: expected sha256 {expected}, got {got}'),
  bundle_unavailable: row('the bundle at {url} cannot be reached: {reason}', 503),
  signature_missing: row(
    'refused {path}: it is not signed, and a signature of one of these keys is required: {keys}',
  ),
  signature_invalid: row('refused {path}: its signature does not hold: {reason}'),
  signer_unknown: row('refused {path}: {signer} signed it; expected one of {keys}'),
  signing_key_invalid: row('expected a private ed25519 key (PEM) in {path}, got {got}'),
  encoder_unknown: row('this weir has no encoder {kind}; it has: {known}'),
  encoder_unavailable: row('the {encoder} encoder cannot run here: {reason}'),
  encoder_not_allowed: row(
    'the bundle’s encoder would send prompts to {host}, which nobody has allowed: where you trust it, add --allow-encoder-host {host} (with --encoder-key-env VARIABLE where it needs a key), or to the server’s configuration encoders: {{name}: {base_url: ADDRESS, key_env: VARIABLE}}',
  ),
  encoder_files_invalid: row('expected {expected} in {path}, got {got}'),
  encoder_endpoint_failed: row('the embeddings endpoint {url} {reason}', 502),
  encoder_busy: row('{waiting} prompts already wait for the encoder, its limit', 503),
  encoder_late: row('the encoder did not answer within {deadline} ms', 504),
  family_unknown: row('this weir has no router family {family}; it has: {known}'),
  onnx_failed: row('ONNX Runtime could not {action}: {reason}'),
  score_invalid: row('the router gave {value} for a prompt; expected a win rate from 0 to 1'),
  bundle_refused: row('refused {path}: {reason}'),
  config_invalid: row('{where}: expected {expected}, got {got}', 400, 2),
  // requests
  prompt_empty: row('expected a prompt with text in it, got {got}', 400),
  prompt_too_long: row('expected a prompt of at most {limit} characters, got {got}', 413),
  body_too_large: row('expected a body of at most {limit} bytes', 413),
  content_type_invalid: row('expected content-type application/json, got {got}', 415),
  content_encoding_invalid: row('expected content-encoding {expected} or none, got {got}', 415),
  request_invalid: row('{where}: expected {expected}, got {got}', 400),
  route_not_found: row('no such endpoint: {method} {path}', 404),
  router_unknown: row('no router named {router}; this server has: {known}', 404),
  router_name_invalid: row(
    'expected a router name like router-mf-0.116, its threshold from 0 to 1, got {got}',
    400,
  ),
  version_unknown: row('router {router} has no version {version} on disk; it has: {known}', 404),
  decision_unknown: row('no decision of this server has the id {id}', 404),
  decision_of_another_key: row(
    'the decision {id} was made for another key; feedback belongs to the key that asked',
    403,
  ),
  response_unknown: row('no response of this server that this key was given has the id {id}', 404),
  sources_exceeded: row('expected at most {limit} sources and models for one decision', 400),
  router_forbidden: row('this key may not use the router {router}', 403),
  key_missing: row('expected an API key in the authorization header: Bearer KEY', 401),
  key_unknown: row('this API key is not known here', 401),
  admin_token_needed: row(
    'expected the admin token in the authorization header (Bearer TOKEN); the server names the file that holds it when it starts',
    401,
  ),
  console_key_unknown: row(
    'expected an API key that the configuration gives a console role, or the admin token',
    401,
  ),
  session_needed: row('sign in to the console first: the session has ended or there is none', 401),
  csrf_missing: row('expected the session’s token in the header x-weir-csrf', 403),
  role_needed: row('this needs the role {role} in the console, got {got}', 403),
  host_not_allowed: row(
    'expected a Host of this machine or one that the server’s configuration lists under hosts, got {host}',
    403,
  ),
  origin_not_allowed: row(
    'web pages of {origin} may not call this server; its configuration lists those that may under cors.origins',
    403,
  ),
  rate_limited: row('more than {limit} requests a minute', 429),
  overloaded: row('the server is at its limit: {what}', 503),
  log_unavailable: row('the decision log cannot be written: {reason}', 503),
  too_deep: row('expected JSON nested at most {limit} deep', 400),
  too_many_parts: row('expected JSON with at most {limit} keys, strings, objects and lists', 400),
  candidates_empty: row(
    'none of the allowed models {models} is a candidate; they are: {known}',
    400,
  ),
  encoder_down: row('the encoder of {routers} is failing; its fallback answers', 503),
  server_not_ready: row('the router is still loading', 503),
  // the gateway
  model_not_served: row('no model named {model}; this gateway has: {known}', 404),
  upstream_unreachable: row('{upstream} cannot be reached: {reason}', 502),
  upstream_timeout: row('{upstream} did not answer in time: {reason}', 504),
  upstream_rate_limited: row('{upstream} is at its rate limit: {reason}', 429),
  upstream_failed: row('{upstream} failed: {reason}', 502),
  upstream_rejected: row('{upstream} refused the request: {reason}', 400),
  upstream_misconfigured: row('{upstream} refused us: {reason}', 502),
  upstream_malformed: row('{upstream} sent no valid answer: {reason}', 502),
  upstream_broken: row('{upstream} broke off its answer: {reason}', 502),
  upstream_unavailable: row('no upstream of {model} may be asked now: {reason}', 503),
  gateway_deadline: row('no answer within the deadline of {deadline} ms', 504),
  answers_too_few: row(
    'expected answers of at least {expected} of {members} models or samples, got {got}',
    502,
  ),
  answer_unchecked: row('no answer passed its checks: {checks}', 502),
  policy_refused: row('{message}', 403),
  budget_spent: row('the budget {budget} of {limit} {reason}', 402),
  model_over_budget: row('{model} is closed: the budget {budget} of {limit} {reason}', 402),
  policy_unapproved: row(
    '{path} ({hash}) must not serve: expected an approval of this very text in {folder}, got {got}',
    409,
  ),
  proposal_missing: row('expected one of the proposals in {folder} ({known}), got {id}'),
  name_invalid: row(
    'expected a name in one script that others can read, got {got}, which has {fault}',
    400,
    2,
  ),
  approval_refused: row('{id} is not approved: {reason}'),
  audit_broken: row('{path} is not as it was written: {faults}; the first: line {line} {fault}'),
  budgets_lost: row(
    'the budgets in {folder} cannot be read: {reason}. Restore the file; or, to count from $0 again, move all files out of the folder',
  ),
  keys_needed: row(
    'expected API keys (keys in --config) or --insecure to listen on {host}, which others can reach',
    500,
    2,
  ),
  workers_failed: row('workers keep ending as they start, the last one with {how}'),
  worker_refused: row('{reason}', 409),
  module_missing: row('{what} needs {module}, which is not installed: {reason}'),
  address_invalid: row('cannot listen on {address}: {reason}'),
  address_in_use: row('cannot listen on {address}: it is in use'),
  cancelled: row('stopped by {signal}', 499, 130),
} as const satisfies Record<string, ErrorRow>

export type ErrorCode = keyof typeof ERRORS

export class WeirError extends Error {
  override readonly name = 'WeirError'
  readonly code: ErrorCode
  readonly status: number
  readonly exitCode: number
  /** The request field or option at fault, if there is one. */
  readonly param: string | undefined
  /** the place at fault in a file or a configuration, such as `gateway.models.big`, if the message names one */
  readonly where: string | undefined
  /** Seconds after which a retry may succeed, if known. */
  readonly retryAfter: number | undefined
  /** Headers of the answer that reports it to a client, set where the request is known. */
  answerHeaders: Readonly<Record<string, string>> | undefined

  /** @param options.message the complete message, if another process has already filled it in */
  constructor(
    code: ErrorCode,
    parameters: Readonly<Record<string, unknown>> = {},
    options: { cause?: unknown; param?: string; retryAfter?: number; message?: string } = {},
  ) {
    super(options.message ?? fill(ERRORS[code].message, parameters), { cause: options.cause })
    this.code = code
    this.status = ERRORS[code].status
    this.exitCode = ERRORS[code].exit
    this.param = options.param
    this.where = parameters.where === undefined ? undefined : String(parameters.where)
    this.retryAfter = options.retryAfter
  }
}

/** Long values are cut, so that a 10 MB cell never becomes a 10 MB message. */
function fill(template: string, parameters: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = parameters[name]
    const text = Array.isArray(value) ? value.join(', ') : String(value)
    return text.length > 400 ? `${text.slice(0, 400)}...` : text
  })
}
