import type { TObject } from 'typebox'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { Compile as CompileSchema, Meta } from 'typebox/schema'
import { compilePattern } from '../../core/pattern.ts'
import { firstFault } from '../../core/schema-fault.ts'

const closed = { additionalProperties: false } as const
const Name = Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]*$' })
const ModelName = Type.String({ minLength: 1, maxLength: 200 })
const Share = Type.Number({ minimum: 0, maximum: 1 })
const Milliseconds = Type.Number({ minimum: 1, maximum: 2_147_483_647 })

/** A model that is asked about answers. */
export const JudgeSettings = Type.Object(
  {
    model: ModelName,
    /** what a good answer is, instead of "correct, complete, and to the point" */
    criteria: Type.Optional(Type.String({ minLength: 1 })),
    /** of the judge's own request: temperature, max_tokens and so on */
    parameters: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    timeout_ms: Type.Optional(Milliseconds),
    /** characters of the conversation that it reads, the last ones */
    characters: Type.Optional(Type.Integer({ minimum: 100 })),
  },
  closed,
)
export type JudgeSettings = Type.Static<typeof JudgeSettings>

const common = {
  /** in headers and logs, instead of the kind */
  name: Type.Optional(Name),
  /** only answers of these models; of all, where absent */
  models: Type.Optional(Type.Array(ModelName, { minItems: 1 })),
}
/** what is taken to be true where the check cannot be made: no log-probabilities came, the judge is silent */
const otherwise = Type.Optional(Type.Union([Type.Literal('fail'), Type.Literal('pass')]))

/** Each check by its kind. Where a threshold is, calibration can set it. */
const CHECKS = {
  /** how likely the model held its own words: geometric mean or least token probability */
  logprob: Type.Object(
    {
      kind: Type.Literal('logprob'),
      ...common,
      measure: Type.Optional(Type.Union([Type.Literal('mean'), Type.Literal('min')])),
      threshold: Share,
      otherwise,
    },
    closed,
  ),
  /** the share of samples that say the same; the majority's answer goes on */
  self_consistency: Type.Object(
    {
      kind: Type.Literal('self_consistency'),
      ...common,
      samples: Type.Integer({ minimum: 2, maximum: 32 }),
      temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
      /** RE2: what is compared is its first group, or all that it matches; the whole answer, where absent */
      pattern: Type.Optional(Type.String({ minLength: 1 })),
      threshold: Share,
    },
    closed,
  ),
  /** the answer's text is JSON that fits the schema (draft 7, without patterns) */
  json_schema: Type.Object(
    {
      kind: Type.Literal('json_schema'),
      ...common,
      schema: Type.Record(Type.String(), Type.Unknown()),
    },
    closed,
  ),
  /** an RE2 pattern that must be found in the answer, or must not */
  regex: Type.Object(
    {
      kind: Type.Literal('regex'),
      ...common,
      pattern: Type.String({ minLength: 1 }),
      found: Type.Optional(Type.Boolean()),
    },
    closed,
  ),
  /** another model's grade, 0 to 10, as a share of 10 */
  judge: Type.Object(
    { kind: Type.Literal('judge'), ...common, judge: JudgeSettings, threshold: Share, otherwise },
    closed,
  ),
  length: Type.Object(
    {
      kind: Type.Literal('length'),
      ...common,
      min: Type.Optional(Type.Integer({ minimum: 0 })),
      max: Type.Optional(Type.Integer({ minimum: 1 })),
    },
    closed,
  ),
  finish_reason: Type.Object(
    {
      kind: Type.Literal('finish_reason'),
      ...common,
      /** `stop`, `tool_calls` and `function_call` unless told */
      allowed: Type.Optional(Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })),
    },
    closed,
  ),
} as const
type CheckKind = keyof typeof CHECKS
export type CheckSettings = { [K in CheckKind]: Type.Static<(typeof CHECKS)[K]> }[CheckKind]

const CheckList = Type.Array(Type.Unsafe<CheckSettings>(Type.Object({ kind: Type.String() })), {
  minItems: 1,
})

/** Weak first; an answer that passes all checks is the request's, else the next model is asked. */
export const CascadeSettings = Type.Object(
  {
    kind: Type.Literal('cascade'),
    /** in this order, up to the first that fails: cheap ones first. The last model's answer is not checked */
    checks: CheckList,
    /** longest that one model and the checks of its answer may take, beside 60% of what is left */
    level_timeout_ms: Type.Optional(Milliseconds),
    /** least time for which another model is begun with; 500 unless told */
    reserve_ms: Type.Optional(Type.Number({ minimum: 0 })),
    /** an answer that passed no check may stand in where the better models fail or time runs out; true unless told */
    best_so_far: Type.Optional(Type.Boolean()),
  },
  closed,
)
export type CascadeSettings = Type.Static<typeof CascadeSettings>

const members = {
  /** of each model */
  samples: Type.Optional(Type.Integer({ minimum: 1, maximum: 32 })),
  temperature: Type.Optional(Type.Number({ minimum: 0, maximum: 2 })),
  /** what has not answered by then counts as failed */
  timeout_ms: Type.Optional(Milliseconds),
}
const quorum = Type.Optional(Type.Integer({ minimum: 1 }))

/** Several models, or several samples of one, at once. */
const ENSEMBLES = {
  /** the answer that most of them gave */
  majority: Type.Object(
    {
      kind: Type.Literal('ensemble'),
      mode: Type.Literal('majority'),
      ...members,
      /** as in `self_consistency` */
      pattern: Type.Optional(Type.String({ minLength: 1 })),
      /** least answers to decide on; half of the members unless told */
      quorum,
    },
    closed,
  ),
  /** the answer that a judge picks; the first model's, where it picks none */
  best_of: Type.Object(
    {
      kind: Type.Literal('ensemble'),
      mode: Type.Literal('best_of'),
      ...members,
      judge: JudgeSettings,
      /** 1 unless told */
      quorum,
    },
    closed,
  ),
  /** the first answer that passes all checks; the others are given up */
  first_good: Type.Object(
    {
      kind: Type.Literal('ensemble'),
      mode: Type.Literal('first_good'),
      ...members,
      checks: CheckList,
      /** where none passes, the first model's answer stands in; true unless told */
      best_so_far: Type.Optional(Type.Boolean()),
    },
    closed,
  ),
} as const
type EnsembleMode = keyof typeof ENSEMBLES
export type EnsembleSettings = {
  [M in EnsembleMode]: Type.Static<(typeof ENSEMBLES)[M]>
}[EnsembleMode]
export type MajoritySettings = Type.Static<(typeof ENSEMBLES)['majority']>
export type BestOfSettings = Type.Static<(typeof ENSEMBLES)['best_of']>
export type FirstGoodSettings = Type.Static<(typeof ENSEMBLES)['first_good']>

/** A route's `strategy`. Its kind alone is looked at here: `settingsFaults` says the rest, field by field. */
export const StrategySettings = Type.Unsafe<CascadeSettings | EnsembleSettings>(
  Type.Object({ kind: Type.Union([Type.Literal('cascade'), Type.Literal('ensemble')]) }),
)
export type StrategySettings = Type.Static<typeof StrategySettings>

type Field = readonly (string | number)[]

/** Told of each thing that is wrong, and of each model that is named. */
export interface SettingsFinder {
  fault(at: Field, expected: string, got: string): void
  model(at: Field, name: string): void
}

const compiled = new Map<TObject, ReturnType<typeof Compile>>()

/** Says what is wrong with a strategy's settings, field by field. */
export function findSettingsFaults(settings: StrategySettings, find: SettingsFinder): void {
  const { kind } = settings
  if (kind === 'cascade') {
    if (fits(CascadeSettings, settings, [], find)) checkListFaults(settings.checks, find)
    return
  }
  const modes = Object.keys(ENSEMBLES) as EnsembleMode[]
  if (!modes.includes(settings.mode)) {
    find.fault(['mode'], `one of ${modes.join(', ')}`, String(settings.mode ?? 'nothing'))
    return
  }
  if (!fits(ENSEMBLES[settings.mode], settings, [], find)) return
  if (settings.mode === 'majority') patternFault(['pattern'], settings.pattern, find)
  if (settings.mode === 'best_of') find.model(['judge', 'model'], settings.judge.model)
  if (settings.mode === 'first_good') checkListFaults(settings.checks, find)
}

function checkListFaults(checks: readonly CheckSettings[], find: SettingsFinder): void {
  const kinds = Object.keys(CHECKS) as CheckKind[]
  const names = checks.map(({ name, kind }) => name ?? kind)
  for (const [i, check] of checks.entries()) {
    const at = ['checks', i]
    if (!kinds.includes(check.kind)) {
      find.fault([...at, 'kind'], `one of ${kinds.join(', ')}`, check.kind)
      continue
    }
    if (!fits(CHECKS[check.kind], check, at, find)) continue
    // headers, logs and calibration tell checks apart by their names
    const name = names[i]!
    if (names.indexOf(name) < i) find.fault([...at, 'name'], 'a name of its own', name)
    for (const [j, model] of (check.models ?? []).entries()) find.model([...at, 'models', j], model)
    checkFaults(check, at, find)
  }
}

function checkFaults(check: CheckSettings, at: Field, find: SettingsFinder): void {
  switch (check.kind) {
    case 'regex':
    case 'self_consistency':
      patternFault([...at, 'pattern'], check.pattern, find)
      break
    case 'json_schema':
      schemaFaults(check.schema, [...at, 'schema'], find)
      break
    case 'judge':
      find.model([...at, 'judge', 'model'], check.judge.model)
      break
    case 'length':
      if (check.min === undefined && check.max === undefined) {
        find.fault(at, 'min, max or both', 'neither')
      }
      break
  }
}

function fits(schema: TObject, value: unknown, at: Field, find: SettingsFinder): boolean {
  const known = compiled.get(schema) ?? Compile(schema)
  compiled.set(schema, known)
  if (known.Check(value)) return true
  const { field, expected, got } = firstFault(known.Errors(value), value)
  find.fault([...at, ...field.split('.').filter((part) => part !== '')], expected, got)
  return false
}

function patternFault(at: Field, pattern: string | undefined, find: SettingsFinder): void {
  if (pattern === undefined) return
  try {
    compilePattern(pattern)
  } catch (error) {
    const expected = 'an RE2 pattern (no look-around, no back-references)'
    find.fault(at, expected, (error as Error).message)
  }
}

const DRAFT_7 = 'http://json-schema.org/draft-07/schema#'
/** Their patterns are JavaScript's, whose time is not linear. */
const SLOW = ['pattern', 'patternProperties']

function schemaFaults(schema: object, at: Field, find: SettingsFinder): void {
  const meta = CompileSchema(Meta[DRAFT_7])
  const [fine, errors] = meta.Errors(schema)
  if (!fine) {
    const { field, expected, got } = firstFault(errors, schema)
    find.fault([...at, ...field.split('.').filter((part) => part !== '')], expected, got)
  }
  const slow = SLOW.find((keyword) => hasKey(schema, keyword))
  if (slow) find.fault(at, 'no patterns (a regex check searches in linear time)', slow)
}

/** A property of that name counts as well: rather one schema too many refused. */
const hasKey = (value: unknown, key: string): boolean =>
  typeof value === 'object' &&
  value !== null &&
  (Object.hasOwn(value, key) || Object.values(value).some((its) => hasKey(its, key)))
