import type { LogOptions } from '../../../data/source/log.ts'
import type { ScoresOptions } from '../../../data/source/scores.ts'

/** Files of one tool, in its exact layout. */
export interface PresetFixture {
  /** the preset, and what is special about the files */
  readonly name: string
  /** the schema, source or sample that the files follow */
  readonly follows: string
  /** `.jsonl` are lines; anything else is one JSON document */
  readonly files: Readonly<Record<string, unknown>>
  /** those files that are not given to Weir */
  readonly beside?: readonly string[]
  readonly options?: LogOptions & ScoresOptions
  /** how the files are recognised, files of scores first */
  readonly formats: readonly string[]
  /** `prompt | model score` */
  readonly rows: readonly string[]
  /** of the first row */
  readonly first: Readonly<Record<string, string | number>>
}

const lmEvalSample = (doc: number, question: string, filter: string, metrics: object) => ({
  doc_id: doc,
  doc: { question, answer: '72' },
  target: '72',
  arguments: {
    gen_args_0: {
      arg_0: `Question: ${question}\nAnswer:`,
      arg_1: { until: ['\n'], do_sample: false },
    },
  },
  resps: [[' 72']],
  filtered_resps: ['72'],
  filter,
  metrics: Object.keys(metrics),
  doc_hash: `d${doc}`,
  prompt_hash: `p${doc}`,
  target_hash: 't',
  ...metrics,
})

const promptfooResult = (
  label: string | undefined,
  raw: string,
  success: boolean,
  score: number,
  failureReason: number,
) => ({
  id: `${label}-${raw}`,
  promptIdx: 0,
  testIdx: 0,
  testCase: { vars: { topic: 'bananas' }, assert: [{ type: 'contains', value: 'yellow' }] },
  promptId: 'f0c1',
  provider: { id: 'openai:gpt-4o-mini', ...(label !== undefined && { label }) },
  prompt: { raw, label: 'Tell me about {{topic}}' },
  vars: { topic: 'bananas' },
  response: {
    output: 'They are yellow',
    tokenUsage: { total: 30, prompt: 20, completion: 10 },
    cached: false,
  },
  error: failureReason === 0 ? null : 'Expected output to contain "yellow"',
  failureReason,
  success,
  score,
  namedScores: {},
  latencyMs: 812,
  cost: 0.0004,
  gradingResult: { pass: success, score, reason: 'All assertions passed' },
  metadata: {},
})

const PROMPTFOO_RESULTS = [
  promptfooResult('big', 'Tell me about bananas', true, 1, 0),
  promptfooResult(undefined, '[{"role":"user","content":"Tell me"}]', false, 0.25, 1),
  promptfooResult('big', 'Tell me about errors', false, 0, 2),
]
const PROMPTFOO_ROWS = [
  'Tell me about bananas | big 1',
  '[{"role":"user","content":"Tell me"}] | openai:gpt-4o-mini 0.25',
  'left out: failureReason is 2',
]
const PROMPTFOO_STATS = { successes: 1, failures: 1, errors: 1, tokenUsage: { total: 90 } }

const inspectSample = (id: number, epoch: number, value: unknown, more: object = {}) => ({
  id,
  epoch,
  input: [{ id: 'm1', content: 'Is this true?', source: 'input', role: 'user' }],
  target: ' Yes',
  messages: [],
  output: {
    model: 'gemma3',
    choices: [{ message: { content: 'Yes', role: 'assistant' }, stop_reason: 'stop' }],
    usage: { input_tokens: 66, output_tokens: 3, total_tokens: 69 },
    time: 1.93,
  },
  scores: {
    match: { value, answer: 'Yes', explanation: 'Yes' },
    judge: { value: 0.75, explanation: 'mostly' },
  },
  metadata: { label_confidence: 0.88 },
  uuid: `u${id}-${epoch}`,
  ...more,
})

const INSPECT_LOG = {
  version: 2,
  status: 'success',
  eval: {
    run_id: 'XmHATth6rmyTfFuHGKdQRd',
    created: '2025-07-05T09:59:40-04:00',
    task: 'popularity',
    dataset: { name: 'popularity', samples: 100 },
    model: 'ollama/gemma3',
    config: { epochs: 2, epochs_reducer: ['mean'] },
  },
  plan: { name: 'plan', steps: [{ solver: 'generate', params: {} }], config: {} },
  results: { total_samples: 2, completed_samples: 2, scores: [] },
  stats: { started_at: '2025-07-05T09:59:40-04:00', model_usage: {} },
  samples: [
    inspectSample(1, 1, 'C'),
    inspectSample(1, 2, 'I'),
    inspectSample(2, 1, 'P'),
    inspectSample(2, 2, 0.25),
    inspectSample(3, 1, null, { scores: null, error: { message: 'timed out' } }),
  ],
}

const observation = (id: string, trace: string, type: string, input: unknown, model: string) => ({
  id,
  trace_id: trace,
  project_id: 'p',
  environment: 'default',
  type,
  parent_observation_id: '',
  start_time: '2024-05-29 13:46:19.963000',
  end_time: '2024-05-29 13:46:21.100000',
  name: 'answer',
  metadata: {},
  level: 'DEFAULT',
  status_message: '',
  input,
  output: '{"role":"assistant","content":"hello"}',
  provided_model_name: model,
  model_parameters: '{"temperature":0.7}',
  usage_details: { input: 12, output: 34, total: 46 },
  cost_details: { input: 0.001, output: 0.002 },
  total_cost: 0.003,
  user_id: 'ann',
  session_id: 's1',
  trace_name: 'support',
})

const langfuseScore = (
  trace: string,
  observed: string | null,
  name: string,
  value: number,
  more = {},
) => ({
  id: `${trace}-${name}`,
  timestamp: '2024-05-29 14:00:00.000000',
  project_id: 'p',
  environment: 'default',
  trace_id: trace,
  observation_id: observed,
  session_id: null,
  dataset_run_id: null,
  name,
  value,
  source: 'ANNOTATION',
  comment: null,
  data_type: 'NUMERIC',
  string_value: null,
  ...more,
})

const LANGFUSE = [
  observation('o1', 't1', 'SPAN', '', ''),
  observation('o2', 't1', 'GENERATION', '[{"role":"user","content":"hi"}]', 'gpt-4o'),
  observation('o3', 't2', 'GENERATION', 'plain text', 'gpt-4o-mini'),
  observation('o4', 't3', 'GENERATION', 'never rated', 'gpt-4o-mini'),
]
const LANGFUSE_SCORES = [
  langfuseScore('t1', 'o2', 'helpful', 0.5),
  langfuseScore('t2', null, 'helpful', 1, { data_type: 'CATEGORICAL', string_value: 'correct' }),
  langfuseScore('t2', null, 'note', 0, { data_type: 'TEXT', string_value: 'thanks' }),
]

const camel = (record: object): object =>
  Object.fromEntries(
    Object.entries(record).map(([name, value]) => [
      name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      value,
    ]),
  )

const spendLog = (id: string, model: string, messages: unknown, more: object = {}) => ({
  request_id: id,
  call_type: 'acompletion',
  api_key: '88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b',
  spend: 0.00012,
  total_tokens: 30,
  prompt_tokens: 20,
  completion_tokens: 10,
  startTime: '2025-03-01T10:00:00.000Z',
  endTime: '2025-03-01T10:00:01.000Z',
  model,
  model_id: 'e4b',
  model_group: 'chat',
  custom_llm_provider: 'openai',
  user: 'default_user_id',
  metadata: { status: 'success' },
  cache_hit: 'False',
  request_tags: ['support', 'User-Agent: OpenAI'],
  end_user: 'ann',
  messages,
  response: {},
  session_id: `s-${id}`,
  status: 'success',
  proxy_server_request: {},
  ...more,
})

const standardPayload = (trace: string, model: string, content: string, status: string) => ({
  id: `chatcmpl-${trace}`,
  trace_id: trace,
  call_type: 'completion',
  stream: false,
  response_cost: 0.00012,
  status,
  custom_llm_provider: 'openai',
  total_tokens: 30,
  prompt_tokens: 20,
  completion_tokens: 10,
  startTime: 1740823200.5,
  endTime: 1740823201.5,
  completionStartTime: 1740823201.1,
  model_map_information: { model_map_key: model, model_map_value: null },
  model,
  model_id: 'e4b',
  model_group: 'chat',
  api_base: 'https://api.openai.com',
  metadata: { user_api_key_hash: '88dc' },
  cache_hit: null,
  request_tags: ['support'],
  end_user: 'ann',
  messages: [{ role: 'user', content }],
  response: { choices: [] },
})

const any = (value: unknown): object => {
  if (typeof value === 'string') return { stringValue: value }
  return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value }
}
const attributes = (values: object): object[] =>
  Object.entries(values).map(([key, value]) => ({ key, value: any(value) }))

const span = (id: string, values: object, events: object[] = [], status: object = {}) => ({
  traceId: `5b8efff798038103d269b633813fc60${id}`,
  spanId: `eee19b7ec3c1b17${id}`,
  parentSpanId: '',
  name: 'chat gpt-4o',
  kind: 3,
  startTimeUnixNano: '1740823200000000000',
  endTimeUnixNano: '1740823201000000000',
  attributes: attributes(values),
  events,
  status,
})

const evaluation = (name: string, score: number) => ({
  timeUnixNano: '1740823202000000000',
  name: 'gen_ai.evaluation.result',
  attributes: attributes({
    'gen_ai.evaluation.name': name,
    'gen_ai.evaluation.score.value': score,
    'gen_ai.evaluation.score.label': score > 0.5 ? 'pass' : 'fail',
  }),
})

const GEN_AI = {
  'gen_ai.operation.name': 'chat',
  'gen_ai.provider.name': 'openai',
  'gen_ai.request.model': 'gpt-4o',
  'gen_ai.response.model': 'gpt-4o-2024-08-06',
  'gen_ai.response.id': 'chatcmpl-1',
  'gen_ai.usage.input_tokens': 20,
  'gen_ai.usage.output_tokens': 10,
  'gen_ai.conversation.id': 'c1',
  'gen_ai.system_instructions': JSON.stringify([{ type: 'text', content: 'Be brief' }]),
  'gen_ai.input.messages': JSON.stringify([
    { role: 'user', parts: [{ type: 'text', content: 'What is the weather?' }] },
  ]),
}

const otlp = (spans: object[]): object => ({
  resourceSpans: [
    {
      resource: { attributes: attributes({ 'service.name': 'bot' }) },
      scopeSpans: [{ scope: { name: 'opentelemetry.instrumentation.openai_v2' }, spans }],
    },
  ],
})

const BRIEF =
  '[{"role":"system","content":"Be brief"},{"role":"user","content":"What is the weather?"}]'

const outputItem = (id: number, model: string, status: string, score: number) => ({
  object: 'eval.run.output_item',
  id: `outputitem_${id}`,
  created_at: 1743092076,
  run_id: 'evalrun_67abd54d60ec8190832b46859da808f7',
  eval_id: 'eval_67abd54d9b0081909a86353f6fb9317a',
  status,
  datasource_item_id: id,
  datasource_item: { input: 'Stock Markets Rally', ground_truth: 'Markets' },
  results: [
    { name: 'String check', type: 'string-check-grader', passed: score > 0.5, score, sample: null },
  ],
  sample: {
    input: [
      { role: 'developer', content: 'Categorize the news headline.' },
      { role: 'user', content: 'Stock Markets Rally' },
    ],
    output: [{ role: 'assistant', content: 'Markets' }],
    finish_reason: 'stop',
    model,
    usage: { total_tokens: 325, completion_tokens: 2, prompt_tokens: 323, cached_tokens: 0 },
    error: null,
    temperature: 1,
    max_completion_tokens: 2048,
    top_p: 1,
    seed: 42,
  },
})
const HEADLINE =
  '[{"role":"developer","content":"Categorize the news headline."},{"role":"user","content":"Stock Markets Rally"}]'

const heliconeRequest = (id: string, model: string, more: object = {}) => ({
  response_id: `r-${id}`,
  response_created_at: '2024-08-01 10:00:01.000',
  response_body: { choices: [{ message: { role: 'assistant', content: 'Hello' } }] },
  response_status: 200,
  response_model: `${model}-2024-08-06`,
  request_id: id,
  request_created_at: '2024-08-01 10:00:00.000',
  request_body: { model, messages: [{ role: 'user', content: `Hi ${id}` }] },
  request_path: 'https://api.openai.com/v1/chat/completions',
  request_user_id: 'ann',
  request_properties: { 'Helicone-Session-Id': 's1' },
  request_model: model,
  model_override: null,
  provider: 'OPENAI',
  delay_ms: 900,
  total_tokens: 30,
  prompt_tokens: 20,
  completion_tokens: 10,
  cost: 0.0002,
  feedback_rating: null,
  signed_body_url: null,
  llmSchema: null,
  scores: {},
  properties: { 'Helicone-Session-Id': 's1' },
  assets: [],
  target_url: 'https://api.openai.com',
  model,
  ...more,
})
const HELICONE = [
  heliconeRequest('q1', 'gpt-4o', { scores: { accuracy: 1 } }),
  heliconeRequest('q2', 'gpt-4o-mini', { feedback_rating: false }),
  heliconeRequest('q3', 'gpt-4o-mini'),
  heliconeRequest('q4', 'gpt-4o-mini', { response_status: 429 }),
]
const HELICONE_ROWS = [
  '[{"role":"user","content":"Hi q1"}] | gpt-4o 1',
  '[{"role":"user","content":"Hi q2"}] | gpt-4o-mini 0',
  'left out: no score',
  'left out: response_status is not 200',
]

const inference = (id: string, variant: string, episode: string, input: object) => ({
  id,
  function_name: 'write_haiku',
  variant_name: variant,
  episode_id: episode,
  input: JSON.stringify(input),
  output: '[{"type":"text","text":"Still waters"}]',
  tool_params: '',
  inference_params: '{"chat_completion":{"temperature":0.5}}',
  processing_time_ms: 800,
  timestamp: '2025-03-01 10:00:00',
  tags: { user_id: '123' },
})

const braintrustSpan = (id: string, root: string, more: object) => ({
  id,
  span_id: `${id}-span`,
  root_span_id: root,
  span_parents: [root],
  is_root: false,
  created: '2025-03-01T10:00:00.000Z',
  project_id: 'p',
  experiment_id: 'e',
  input: null,
  output: null,
  expected: null,
  error: null,
  scores: null,
  metadata: null,
  tags: null,
  metrics: null,
  span_attributes: { name: 'eval', type: 'eval' },
  ...more,
})

const langSmithRun = (
  id: string,
  trace: string,
  model: string,
  inputs: unknown,
  more: object = {},
) => ({
  id,
  name: 'ChatOpenAI',
  run_type: 'llm',
  start_time: '2025-03-01T10:00:00.000000',
  end_time: '2025-03-01T10:00:01.000000',
  status: 'success',
  inputs,
  outputs: { generations: [] },
  error: null,
  extra: { metadata: { ls_provider: 'openai', ls_model_name: model, thread_id: 'c1' } },
  feedback_stats: {},
  prompt_tokens: 20,
  completion_tokens: 10,
  total_tokens: 30,
  total_cost: 0.0002,
  session_id: 'project',
  trace_id: trace,
  dotted_order: '20250301T100000000000Z',
  ...more,
})

const LANGCHAIN_INPUTS = {
  messages: [
    [
      {
        lc: 1,
        type: 'constructor',
        id: ['langchain', 'schema', 'messages', 'SystemMessage'],
        kwargs: { content: 'Be brief', type: 'system' },
      },
      {
        lc: 1,
        type: 'constructor',
        id: ['langchain', 'schema', 'messages', 'HumanMessage'],
        kwargs: { content: 'What is the weather?', type: 'human' },
      },
    ],
  ],
}

const stat = (name: string, mean: number) => ({
  name: { name, split: 'test' },
  count: 1,
  sum: mean,
  sum_squared: mean * mean,
  min: mean,
  max: mean,
  mean,
  variance: 0,
  stddev: 0,
})

const requestState = (id: string, text: string, more: object = {}) => ({
  instance: { input: { text }, references: [], split: 'test', id },
  train_trial_index: 0,
  request_mode: 'original',
  request: {
    model: 'openai/gpt-4o',
    model_deployment: 'openai/gpt-4o',
    prompt: `The following are questions.\n\n${text}\nAnswer:`,
    temperature: 0,
    max_tokens: 5,
  },
  result: { success: true, cached: false, completions: [{ text: ' B', logprob: 0, tokens: [] }] },
  num_train_instances: 5,
  prompt_truncated: false,
  ...more,
})

export const FIXTURES: readonly PresetFixture[] = [
  {
    name: 'lm-eval',
    follows:
      'lm_eval 0.4.13: evaluator.py (records), loggers/evaluation_tracker.py (arguments, file names); and samples_masakhaner_luo_prompt_1_*.jsonl in its repository for a metric that is no number',
    files: {
      'out/google__gemma-2b/samples_gsm8k_2026-01-16T15-23-47.285735.jsonl': [
        lmEvalSample(0, 'How many clips?', 'strict-match', { exact_match: 1 }),
        lmEvalSample(1, 'How much?', 'strict-match', { f1: ['DATE', ['date']], exact_match: 0 }),
        lmEvalSample(2, 'Who?', 'strict-match', { f1: ['DATE', ['date']] }),
        lmEvalSample(0, 'How many clips?', 'flexible-extract', { exact_match: 0 }),
      ],
      'out/google__gemma-2b/results_2026-01-16T15-23-47.285735.json': {
        results: { gsm8k: { 'exact_match,strict-match': 0.5 } },
        model_source: 'hf',
        model_name: 'google/gemma-2b',
        model_name_sanitized: 'google__gemma-2b',
      },
    },
    beside: ['285735.json'],
    formats: ['lm-eval'],
    rows: [
      'Question: How many clips?\nAnswer: | google/gemma-2b 1',
      'Question: How much?\nAnswer: | google/gemma-2b 0',
      'left out: no score',
      'left out: filter is not strict-match',
    ],
    first: { category: 'gsm8k' },
  },
  {
    name: 'promptfoo (results.json)',
    follows: 'promptfoo 0.121.20: OutputFile, EvaluateSummaryV3, EvaluateResult of its index.d.ts',
    files: {
      'results.json': {
        evalId: 'eval-5Zp-2025-03-01T10:00:00',
        results: {
          version: 3,
          timestamp: '2025-03-01T10:00:00.000Z',
          prompts: [],
          results: PROMPTFOO_RESULTS,
          stats: PROMPTFOO_STATS,
        },
        config: { providers: ['openai:gpt-4o-mini'] },
        shareableUrl: null,
      },
    },
    formats: ['promptfoo'],
    rows: PROMPTFOO_ROWS,
    first: { cost: 0.0004, tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'promptfoo (summary of evaluate())',
    follows: 'promptfoo 0.121.20: EvaluateSummaryV3 of its index.d.ts',
    files: {
      'summary.json': {
        version: 3,
        timestamp: '2025-03-01T10:00:00.000Z',
        results: PROMPTFOO_RESULTS,
        prompts: [],
        stats: PROMPTFOO_STATS,
      },
    },
    formats: ['promptfoo'],
    rows: PROMPTFOO_ROWS,
    first: { cost: 0.0004, tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'promptfoo (results.jsonl)',
    follows: 'promptfoo 0.121.20: EvaluateResult of its index.d.ts, one per line',
    files: { 'results.jsonl': PROMPTFOO_RESULTS },
    formats: ['promptfoo'],
    rows: PROMPTFOO_ROWS,
    first: { cost: 0.0004, tokens: 10 },
  },
  {
    name: 'inspect',
    follows:
      'tests/log/test_eval_log/log_read_sample.json of UKGovernmentBEIS/inspect_ai (62d91db), log version 2',
    files: { 'log.json': INSPECT_LOG },
    options: { scoreName: 'match' },
    formats: ['inspect'],
    rows: [
      ...[1, 0, 0.5, 0.25].map(
        (score) => `[{"role":"user","content":"Is this true?"}] | ollama/gemma3 ${score}`,
      ),
      'left out: no score',
    ],
    first: { tokens: 3, category: 'popularity', time: '2025-07-05T13:59:40.000Z' },
  },
  {
    name: 'langfuse (export to blob storage)',
    follows:
      'langfuse-docs, features/blob-storage-export-fields (05bdc0e): observations_v2 and scores',
    files: { 'observations_v2.jsonl': LANGFUSE, 'scores.jsonl': LANGFUSE_SCORES },
    formats: ['langfuse-scores', 'langfuse'],
    rows: [
      'left out: type is not GENERATION',
      '[{"role":"user","content":"hi"}] | gpt-4o 0.5',
      'plain text | gpt-4o-mini 1',
      'left out: no score in scores.jsonl',
    ],
    first: { cost: 0.003, tokens: 34, category: 'support', time: '2024-05-29T13:46:19.963Z' },
  },
  {
    name: 'langfuse (API)',
    follows: '@langfuse/core 5.11.1: ObservationV2 and Score, in pages {data, meta}',
    files: {
      'observations.json': {
        data: LANGFUSE.map((one) => {
          const { provided_model_name, ...rest } = one
          return camel({ ...rest, model: provided_model_name })
        }),
        meta: { cursor: null },
      },
      'scores.json': { data: LANGFUSE_SCORES.map(camel), meta: { page: 1 } },
    },
    formats: ['langfuse-scores', 'langfuse'],
    rows: [
      'left out: type is not GENERATION',
      '[{"role":"user","content":"hi"}] | gpt-4o 0.5',
      'plain text | gpt-4o-mini 1',
      'left out: no score in scores.json',
    ],
    first: { cost: 0.003, tokens: 34, category: 'support', time: '2024-05-29T13:46:19.963Z' },
  },
  {
    name: 'litellm (spend logs)',
    follows: 'BerriAI/litellm, proxy/schema.prisma (0010143): LiteLLM_SpendLogs',
    files: {
      'spend.jsonl': [
        spendLog('r1', 'gpt-4o', [{ role: 'user', content: 'hi' }]),
        spendLog(
          'r2',
          'gpt-4o-mini',
          {},
          {
            proxy_server_request: { messages: [{ role: 'user', content: 'ho' }] },
          },
        ),
        spendLog('r3', 'gpt-4o', [{ role: 'user', content: 'no' }], { status: 'failure' }),
        spendLog('r4', 'text-embedding-3-small', 'text', { call_type: 'aembedding' }),
      ],
      'outcomes.jsonl': [
        { request_id: 'r1', resolved: true, score: 1 },
        { request_id: 'r2', resolved: false, score: 0 },
      ],
    },
    beside: ['outcomes.jsonl'],
    options: { scores: { path: 'outcomes.jsonl', on: 'request_id' } },
    formats: ['scores', 'litellm'],
    rows: [
      '[{"role":"user","content":"hi"}] | gpt-4o 1',
      '[{"role":"user","content":"ho"}] | gpt-4o-mini 0',
      'left out: status is failure',
      'left out: call_type is embedding or aembedding or image_generation or aimage_generation or rerank or arerank',
    ],
    first: { cost: 0.00012, tokens: 10, category: 'support', time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'litellm (StandardLoggingPayload)',
    follows:
      'docs.litellm.ai/docs/proxy/logging_spec, litellm/types/utils.py: StandardLoggingPayload',
    files: {
      'payloads.jsonl': [
        standardPayload('t1', 'gpt-4o', 'hi', 'success'),
        standardPayload('t2', 'gpt-4o', 'no', 'failure'),
      ],
      'outcomes.jsonl': [{ trace: 't1', value: 0.5 }],
    },
    beside: ['outcomes.jsonl'],
    options: {
      mapping: { fields: {}, on: ['trace_id'] },
      scores: { path: 'outcomes.jsonl', on: 'trace_id=trace' },
    },
    formats: ['scores', 'litellm'],
    rows: ['[{"role":"user","content":"hi"}] | gpt-4o 0.5', 'left out: status is failure'],
    first: { cost: 0.00012, tokens: 10, category: 'support', time: '2025-03-01T10:00:00.500Z' },
  },
  {
    name: 'otel (GenAI spans with evaluations)',
    follows:
      'OTLP/JSON of opentelemetry-proto 1.x; attributes and events of the GenAI semantic conventions, as in @opentelemetry/semantic-conventions 1.45.0',
    files: {
      'traces.jsonl': [
        otlp([
          span('1', GEN_AI, [evaluation('Relevance', 0.75)]),
          span('2', { 'gen_ai.operation.name': 'execute_tool', 'gen_ai.tool.name': 'search' }),
          span('3', GEN_AI),
        ]),
        otlp([span('4', GEN_AI, [], { code: 2, message: 'rate limited' })]),
      ],
    },
    formats: ['otel'],
    rows: [
      `${BRIEF} | gpt-4o 0.75`,
      'left out: kind is not model call',
      'left out: no score',
      'left out: status is error',
    ],
    first: { tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'otel (evaluations as log records)',
    follows:
      'OTLP/JSON of opentelemetry-proto 1.x (LogRecord.eventName); the event gen_ai.evaluation.result of semantic-conventions-genai, model/gen-ai/events.yaml',
    files: {
      'traces.json': otlp([span('1', GEN_AI), span('2', GEN_AI)]),
      'logs.json': {
        resourceLogs: [
          {
            resource: { attributes: [] },
            scopeLogs: [
              {
                scope: {},
                logRecords: [
                  {
                    timeUnixNano: '1740823202000000000',
                    eventName: 'gen_ai.evaluation.result',
                    traceId: '5b8efff798038103d269b633813fc601',
                    spanId: 'eee19b7ec3c1b171',
                    attributes: evaluation('Relevance', 0.25).attributes,
                  },
                  { eventName: 'other', spanId: 'eee19b7ec3c1b172', attributes: [] },
                ],
              },
            ],
          },
        ],
      },
    },
    formats: ['otel-evaluations', 'otel'],
    rows: [`${BRIEF} | gpt-4o 0.25`, 'left out: no score in logs.json'],
    first: { tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'otel (OpenInference)',
    follows:
      '@arizeai/openinference-semantic-conventions 2.12.0; a span of Python’s ConsoleSpanExporter',
    files: {
      'spans.jsonl': [
        {
          name: 'ChatCompletion',
          context: { trace_id: '0x5b8e', span_id: '0xeee1', trace_state: '[]' },
          kind: 'SpanKind.INTERNAL',
          parent_id: null,
          start_time: '2025-03-01T10:00:00.000000Z',
          end_time: '2025-03-01T10:00:01.000000Z',
          status: { status_code: 'OK' },
          attributes: {
            'openinference.span.kind': 'LLM',
            'llm.model_name': 'gpt-4o',
            'llm.input_messages.0.message.role': 'system',
            'llm.input_messages.0.message.content': 'Be brief',
            'llm.input_messages.1.message.role': 'user',
            'llm.input_messages.1.message.contents.0.message_content.type': 'text',
            'llm.input_messages.1.message.contents.0.message_content.text': 'What is the weather?',
            'input.value': '{"messages": []}',
            'llm.token_count.completion': 10,
            'llm.cost.total': 0.0002,
          },
          events: [
            {
              name: 'gen_ai.evaluation.result',
              timestamp: '2025-03-01T10:00:02.000000Z',
              attributes: {
                'gen_ai.evaluation.name': 'correct',
                'gen_ai.evaluation.score.label': 'pass',
              },
            },
          ],
          links: [],
          resource: { attributes: {}, schema_url: '' },
        },
      ],
    },
    formats: ['otel'],
    rows: [`${BRIEF} | gpt-4o 1`],
    first: { cost: 0.0002, tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'openai-evals',
    follows: 'openai 6.49.0, resources/evals/runs/output-items.d.ts: OutputItemListResponse',
    files: {
      'items.json': {
        object: 'list',
        data: [
          outputItem(1, 'gpt-4o-mini-2024-07-18', 'pass', 1),
          outputItem(2, 'gpt-4o-mini-2024-07-18', 'fail', 0),
          outputItem(3, 'gpt-4o-mini-2024-07-18', 'error', 0),
        ],
        has_more: false,
      },
      'items.jsonl': [outputItem(4, 'gpt-4o-2024-08-06', 'pass', 1)],
    },
    formats: ['openai-evals', 'openai-evals'],
    rows: [
      `${HEADLINE} | gpt-4o-mini-2024-07-18 1`,
      `${HEADLINE} | gpt-4o-mini-2024-07-18 0`,
      'left out: status is error',
      `${HEADLINE} | gpt-4o-2024-08-06 1`,
    ],
    first: { tokens: 2, time: '2025-03-27T16:14:36.000Z' },
  },
  {
    name: 'openai-dpo',
    follows: 'developers.openai.com/api/docs/guides/direct-preference-optimization, “Data format”',
    files: {
      'dpo.jsonl': [
        {
          input: {
            messages: [{ role: 'user', content: 'How cold is San Francisco today?' }],
            tools: [],
            parallel_tool_calls: true,
          },
          preferred_output: [{ role: 'assistant', content: 'Today it is 68°F.' }],
          non_preferred_output: [{ role: 'assistant', content: 'Not cold.' }],
        },
      ],
    },
    options: { mapping: { fields: { model_a: "'gpt-4o'", model_b: "'gpt-4o-mini'" } } },
    formats: ['openai-dpo'],
    rows: ['[{"role":"user","content":"How cold is San Francisco today?"}] | gpt-4o > gpt-4o-mini'],
    first: {},
  },
  {
    name: 'chosen-rejected',
    follows:
      'huggingface.co/datasets/allenai/reward-bench (8def74f), README: prompt, chosen, chosen_model, rejected, rejected_model, subset, id',
    files: {
      'filtered.jsonl': [
        {
          prompt: 'How do I bake bread?',
          chosen: 'Mix flour and water.',
          chosen_model: 'GPT4-Turbo',
          rejected: 'No.',
          rejected_model: 'alpaca-7b',
          subset: 'alpacaeval-easy',
          id: 0,
        },
        {
          prompt: 'Which?',
          chosen: 'a',
          chosen_model: 'human',
          rejected: 'b',
          rejected_model: 'human',
          subset: 'hep-go',
          id: 1,
        },
      ],
    },
    formats: ['chosen-rejected'],
    rows: ['How do I bake bread? | GPT4-Turbo > alpaca-7b', 'left out: both answers of one model'],
    first: { category: 'alpacaeval-easy' },
  },
  {
    name: 'chosen-rejected (messages, Argilla’s names)',
    follows:
      'huggingface.co/datasets/argilla/ultrafeedback-binarized-preferences-cleaned (chosen-model); Anthropic/hh-rlhf for text without models',
    files: {
      'cleaned.jsonl': [
        {
          source: 'sharegpt',
          chosen: [
            { role: 'user', content: 'Hi' },
            { role: 'assistant', content: 'Hello!' },
          ],
          'chosen-model': 'gpt-4',
          'chosen-rating': 5,
          rejected: [
            { role: 'user', content: 'Hi' },
            { role: 'assistant', content: 'What?' },
          ],
          'rejected-model': 'falcon-40b-instruct',
        },
      ],
      'hh.jsonl': [
        { chosen: '\n\nHuman: Hi\n\nAssistant: Hello', rejected: '\n\nHuman: Hi\n\nAssistant: No' },
      ],
    },
    formats: ['chosen-rejected', 'chosen-rejected'],
    rows: [
      '[{"role":"user","content":"Hi"}] | gpt-4 > falcon-40b-instruct',
      'left out: no models named',
    ],
    first: { category: 'sharegpt' },
  },
  {
    name: 'chosen-rejected (hh-rlhf with models named by the user)',
    follows: 'huggingface.co/datasets/Anthropic/hh-rlhf: chosen and rejected as one text each',
    files: {
      'hh.jsonl': [
        { chosen: '\n\nHuman: Hi\n\nAssistant: Hello', rejected: '\n\nHuman: Hi\n\nAssistant: No' },
      ],
    },
    options: { mapping: { fields: { model_a: "'new'", model_b: "'old'" } } },
    formats: ['chosen-rejected'],
    rows: ['Hi | new > old'],
    first: {},
  },
  {
    name: 'ultrafeedback',
    follows:
      'huggingface.co/datasets/openbmb/UltraFeedback; create_dataset.py of HuggingFaceH4/ultrafeedback_binarized reads completions[].model and .overall_score',
    files: {
      'evol.jsonl': [
        {
          source: 'evol_instruct',
          instruction: 'Write a poem',
          models: ['gpt-4', 'alpaca-7b'],
          completions: [
            {
              model: 'gpt-4',
              response: 'Roses',
              overall_score: 10,
              'fine-grained_score': 5,
              critique: 'Fine',
              annotations: {},
            },
            { model: 'alpaca-7b', response: 'No', overall_score: 5.5, 'fine-grained_score': 3 },
          ],
          correct_answers: ['None'],
          incorrect_answers: ['None'],
        },
        { source: 'evol_instruct', instruction: 'Nothing', models: [], completions: [] },
      ],
    },
    formats: ['ultrafeedback'],
    rows: ['Write a poem | gpt-4 1, alpaca-7b 0.5', 'left out: no score'],
    first: { category: 'evol_instruct' },
  },
  {
    name: 'helicone (API)',
    follows:
      'Helicone/helicone, packages/llm-mapper/types.ts (301a87b): HeliconeRequest; {data, error}',
    files: { 'requests.json': { data: HELICONE, error: null } },
    formats: ['helicone'],
    rows: HELICONE_ROWS,
    first: { cost: 0.0002, tokens: 10, time: '2024-08-01T10:00:00.000Z' },
  },
  {
    name: 'helicone (lines)',
    follows:
      'Helicone/helicone, packages/llm-mapper/types.ts (301a87b): HeliconeRequest, one per line',
    files: { 'requests.jsonl': HELICONE },
    formats: ['helicone'],
    rows: HELICONE_ROWS,
    first: { cost: 0.0002, tokens: 10, time: '2024-08-01T10:00:00.000Z' },
  },
  {
    name: 'tensorzero',
    follows:
      'tensorzero/tensorzero, docs/gateway/data-model.mdx (0845f2d): ChatInference, BooleanMetricFeedback',
    files: {
      'ChatInference.jsonl': [
        inference('i1', 'gpt_4o', 'e1', {
          system: 'Be brief',
          messages: [{ role: 'user', content: [{ type: 'text', text: 'What is the weather?' }] }],
        }),
        inference('i2', 'haiku', 'e2', {
          messages: [
            {
              role: 'user',
              content: [{ type: 'template', name: 'user', arguments: { topic: 'sea' } }],
            },
          ],
        }),
        inference('i3', 'haiku', 'e3', { messages: [{ role: 'user', content: 'unrated' }] }),
      ],
      'BooleanMetricFeedback.jsonl': [
        { id: 'f1', target_id: 'i1', metric_name: 'good', value: true, tags: {} },
        { id: 'f2', target_id: 'e2', metric_name: 'good', value: false, tags: {} },
      ],
    },
    formats: ['tensorzero-feedback', 'tensorzero'],
    rows: [
      `${BRIEF} | gpt_4o 1`,
      '[{"role":"user","content":"{\\"topic\\":\\"sea\\"}"}] | haiku 0',
      'left out: no score in BooleanMetricFeedback.jsonl',
    ],
    first: { category: 'write_haiku', time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'braintrust (API)',
    follows:
      'braintrust 3.35.0, index.d.ts: ExperimentEvent; {events, cursor} of /v1/experiment/{id}/fetch',
    files: {
      'experiment.json': {
        events: [
          braintrustSpan('a', 'r1', {
            span_id: 'r1',
            is_root: true,
            input: 'What is the weather?',
            scores: { Factuality: 0.6, Brevity: 1 },
          }),
          braintrustSpan('b', 'r1', {
            input: [{ role: 'user', content: 'What is the weather?' }],
            metadata: { model: 'gpt-4o', temperature: 0 },
            metrics: { prompt_tokens: 20, completion_tokens: 10, estimated_cost: 0.0002 },
            span_attributes: { name: 'Chat Completion', type: 'llm' },
          }),
        ],
        cursor: null,
      },
    },
    options: { scoreName: 'Factuality' },
    formats: ['braintrust'],
    rows: ['What is the weather? | gpt-4o 0.6', 'left out: no score'],
    first: { cost: 0.0002, tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'braintrust (lines)',
    follows: 'braintrust 3.35.0, index.d.ts: ExperimentEvent, one per line',
    files: {
      'gpt-4o.jsonl': [
        braintrustSpan('a', 'r1', { input: 'Why?', scores: { Factuality: 0.6, Brevity: 1 } }),
      ],
    },
    options: { scoreName: 'Brevity', mapping: { fields: { model: '@file' } } },
    formats: ['braintrust'],
    rows: ['Why? | gpt-4o 1'],
    first: { time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'langsmith',
    follows:
      'langsmith 0.14.0, schemas.py: Run and Feedback; messages as langchain-core serialises them',
    files: {
      'runs.jsonl': [
        langSmithRun('l1', 'w1', 'gpt-4o', LANGCHAIN_INPUTS),
        langSmithRun(
          'l2',
          'w2',
          'gpt-4o-mini',
          { messages: [{ role: 'user', content: 'Why?' }] },
          {
            feedback_stats: { correct: { n: 2, avg: 0.5 } },
          },
        ),
        langSmithRun('l3', 'w3', 'gpt-4o-mini', JSON.stringify({ prompts: ['no'] }), {
          status: 'error',
        }),
        langSmithRun('l4', 'w1', '', { input: 'x' }, { run_type: 'chain' }),
      ],
      'feedback.jsonl': [
        {
          id: 'f1',
          created_at: '2025-03-01T11:00:00',
          modified_at: '2025-03-01T11:00:00',
          run_id: 'w1',
          trace_id: 'w1',
          key: 'user_score',
          score: 1,
          value: null,
          comment: null,
        },
      ],
    },
    formats: ['langsmith-feedback', 'langsmith'],
    rows: [
      `${BRIEF} | gpt-4o 1`,
      '[{"role":"user","content":"Why?"}] | gpt-4o-mini 0.5',
      'left out: status is error',
      'left out: run_type is not llm',
    ],
    first: { cost: 0.0002, tokens: 10, time: '2025-03-01T10:00:00.000Z' },
  },
  {
    name: 'llmrouter',
    follows:
      'ulab-uiuc/LLMRouter, llmrouter/data/README.md (322c2cf): default_routing_train_data.jsonl',
    files: {
      'default_routing_train_data.jsonl': [
        {
          task_name: 'gsm8k',
          query: 'Janet has 4 apples. How many are left?',
          ground_truth: '2',
          metric: 'GSM8K',
          choices: null,
          task_id: null,
          model_name: 'llama3-chatqa-1.5-8b',
          response: '2',
          token_num: 453,
          input_tokens: 449,
          output_tokens: 4,
          response_time: 1.78,
          api_key_used: '',
          performance: 1,
          embedding_id: 42,
          user_id: null,
          fig_id: null,
        },
      ],
    },
    formats: ['llmrouter'],
    rows: ['Janet has 4 apples. How many are left? | llama3-chatqa-1.5-8b 1'],
    first: { tokens: 4, category: 'gsm8k' },
  },
  {
    name: 'helm',
    follows:
      'stanford-crfm/helm, adaptation/request_state.py (317976a), metrics/metric.py (0cfccdc): ScenarioState and PerInstanceStats',
    files: {
      'runs/v1/mmlu:subject=anatomy,model=openai_gpt-4o/scenario_state.json': {
        adapter_spec: { method: 'multiple_choice_joint', model: 'openai/gpt-4o' },
        request_states: [
          requestState('id1', 'Which bone?'),
          requestState('id1', 'which bone?', {
            instance: {
              input: { text: 'which bone?' },
              references: [],
              split: 'test',
              id: 'id1',
              perturbation: { name: 'robustness', robustness: true },
            },
          }),
          requestState('id2', 'Which nerve?'),
          requestState('id2', 'Which nerve?', { reference_index: 1 }),
        ],
      },
      'runs/v1/mmlu:subject=anatomy,model=openai_gpt-4o/per_instance_stats.json': [
        {
          instance_id: 'id1',
          train_trial_index: 0,
          stats: [stat('num_output_tokens', 1), stat('exact_match', 1)],
        },
        {
          instance_id: 'id1',
          perturbation: { name: 'robustness', robustness: true },
          train_trial_index: 0,
          stats: [stat('exact_match', 0)],
        },
        { instance_id: 'id2', train_trial_index: 0, stats: [stat('num_output_tokens', 1)] },
      ],
      'runs/v1/mmlu:subject=anatomy,model=openai_gpt-4o/run_spec.json': {
        name: 'mmlu:subject=anatomy,model=openai_gpt-4o',
      },
    },
    beside: ['stats.json', 'spec.json'],
    formats: ['helm'],
    rows: [
      'Which bone? | openai/gpt-4o 1',
      'which bone? | openai/gpt-4o 0',
      'left out: no score',
      'left out: repeated is true',
    ],
    first: { tokens: 1, category: 'mmlu' },
  },
]
