import Type from 'typebox'
import { Compile, type Validator } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { STEP_NAMES, type StepName } from '../gateway/contracts.ts'
import { closed, type PolicyFile } from './file.ts'
import { budgets, keys, latency, models, privacy, routes } from './sections.ts'
import type { PolicyRow } from './step.ts'
import { cache } from './steps/cache.ts'
import { decideByModel } from './steps/decide-by-model.ts'
import { defaultRoute, fallback } from './steps/default.ts'
import { guardrail } from './steps/guardrail.ts'
import { hardLimit } from './steps/hard-limit.ts'
import { learned } from './steps/learned.ts'
import { named } from './steps/named.ts'
import { rule } from './steps/rule.ts'
import { semantic } from './steps/semantic.ts'
import { sessions } from './steps/sessions.ts'
import { sticky } from './steps/sticky.ts'

/** Each step by its name, in the order of `STEP_NAMES`. The last one always decides, if a model is open. */
const STEPS: Readonly<Record<StepName, PolicyRow>> = {
  hard_limit: hardLimit,
  guardrail,
  model_named: named,
  rule,
  semantic,
  cache,
  decide_by_model: decideByModel,
  sessions,
  sticky,
  learned,
  default: defaultRoute,
  fallback,
}

/** An added step: its entry, its name in headers, logs, metrics and budgets, and its place. */
export interface AddedStep<Schema extends Type.TSchema = Type.TSchema> extends PolicyRow<Schema> {
  readonly name: string
  /** the step that is asked right after it */
  readonly before: StepName
}

/** An entry of the registry; `name` is its step's, absent if the section has none. */
export interface RegisteredRow extends PolicyRow {
  readonly name?: string
}

/** The sections and steps that policies are checked and built with. */
export interface PolicySteps {
  /** sections without a step, then the steps in the order they are asked, then budgets */
  readonly rows: readonly RegisteredRow[]
  /** names of the steps, in the order they are asked */
  readonly names: readonly string[]
  /** schema of a policy file, made of the schemas of its sections */
  readonly shape: Validator
}

/**
 * The registry of policy steps: the built-in ones, and added ones.
 *
 * @throws config_invalid if an added step has a name or section that another one has
 */
export function policySteps(added: readonly AddedStep[] = []): PolicySteps {
  const steps = STEP_NAMES.flatMap((name): RegisteredRow[] => [
    ...added.filter(({ before }) => before === name),
    { ...STEPS[name], name },
  ])
  const rows: readonly RegisteredRow[] = [
    ...[models, routes, keys, privacy, latency],
    ...steps,
    budgets,
  ]
  const names = steps.map(({ name }) => name!)
  assertUnique('names', names)
  assertUnique('sections', ['version', ...rows.flatMap(({ key }) => key ?? [])])
  let shape: Validator | undefined
  return {
    rows,
    names,
    get shape() {
      shape ??= Compile(fileSchema(rows))
      return shape
    },
  }
}

/** The built-in steps. */
export const POLICY_STEPS = policySteps()

/** A policy file and the registry that it was checked with. */
export interface PolicyAtWork {
  readonly file: PolicyFile
  readonly steps: PolicySteps
}

/** An entry whose section is in the file, or that needs none, with its settings. */
export interface UsedRow {
  readonly row: RegisteredRow
  readonly section: unknown
}

/** The entries that a file uses, in order. */
export const usedRows = ({ file, steps }: PolicyAtWork): UsedRow[] =>
  steps.rows.flatMap((row) => {
    const section = row.key === undefined ? undefined : file[row.key]
    return row.key !== undefined && section === undefined ? [] : [{ row, section }]
  })

/**
 * What the spending of a policy's requests is counted under: the names of rules and routes that decide, and
 * the steps that decide without one.
 */
export function spendingRoutes({ file, steps }: PolicyAtWork): string[] {
  const named = usedRows({ file, steps }).flatMap(
    ({ row, section }) => row.spendingRoutes?.(section) ?? [],
  )
  const unnamed = steps.rows.flatMap((row) => (row.spendingRoutes ? [] : (row.name ?? [])))
  // a route or model that the client names decides by its name
  return [...named, ...unnamed, ...Object.keys(file.routes ?? {}), ...Object.keys(file.models)]
}

/** The schema of a policy file, made of the schemas of its sections. */
export function fileSchema(rows: readonly PolicyRow[]): Type.TSchema {
  const sections = rows.flatMap(({ key, schema, required }) =>
    key !== undefined && schema ? [[key, required ? schema : Type.Optional(schema)] as const] : [],
  )
  return Type.Object({ version: Type.Literal(1), ...Object.fromEntries(sections) }, closed)
}

function assertUnique(what: string, all: readonly string[]): void {
  const twice = all.find((name, i) => all.indexOf(name) < i)
  if (twice === undefined) return
  const expected = `steps whose ${what} are all different`
  throw new WeirError('config_invalid', { where: 'policy steps', expected, got: `${twice} twice` })
}
