import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'
import { compilePattern } from '../../core/pattern.ts'
import { firstFault } from '../../core/schema-fault.ts'
import { parseSource, type Source } from '../../core/yaml-source.ts'
import type { BudgetScope } from '../budgets/settings.ts'
import { expectedRoute, SPENDING_STEPS } from '../gateway/spending.ts'
import { findSettingsFaults, type StrategySettings } from '../strategies/settings.ts'
import { type Condition, LANGUAGES } from './condition.ts'
import { NO_ROUTE, PolicyFile } from './file.ts'
import { type RouterPair, WHOLE_POLICY } from './learned-router.ts'

export interface CheckedPolicy {
  readonly file: PolicyFile
  readonly source: Source
}

const shape = Compile(PolicyFile)

/** All that is wrong with a policy file; nothing, where it may be served. */
export function policyFaults(source: Source): PolicyFault[] {
  const { value } = source
  if (shape.Check(value)) return findFaults(value, source, SECTION_CHECKS)
  const { field, expected, got } = firstFault(shape.Errors(value), value)
  return [{ line: source.lineOf(field.split('.')), field: field || 'the file', expected, got }]
}

/** @throws config_invalid with file, line, field: the first of the faults */
export function checkPolicy(text: string, path: string): CheckedPolicy {
  const source = parseSource(text, path)
  const fault = policyFaults(source)[0]
  if (fault) throw faultError(fault, path)
  return { file: source.value as PolicyFile, source }
}

export function faultError({ line, field, expected, got }: PolicyFault, path: string): WeirError {
  return new WeirError('config_invalid', { where: `${path}:${line}: ${field}`, expected, got })
}

/** Something wrong in a policy file, and where. */
interface PolicyFault {
  readonly line: number
  readonly field: string
  readonly expected: string
  readonly got: string
}

type Field = readonly (string | number)[]

/** What a section's check says its faults with. */
interface FaultFinder {
  /** names a rule may lead to: routes, then models */
  readonly targets: readonly string[]
  fault(at: Field, expected: string, got: string): void
  /** a fault unless `got` is one of the names */
  oneOf(at: Field, names: readonly string[], got: string): void
  /** a fault for each that is no model of the file */
  models(at: Field, names: readonly string[] | undefined): void
  /** a fault for each name that was there before; `at` is the list's */
  unique(at: Field, names: readonly string[]): void
}

/** Says what is wrong with a section whose shape is right. */
type SectionCheck = (file: PolicyFile, find: FaultFinder) => void

/** All that the checks find, in their order. */
function findFaults(
  file: PolicyFile,
  source: Source,
  checks: readonly SectionCheck[],
): PolicyFault[] {
  const faults: PolicyFault[] = []
  const models = Object.keys(file.models)
  const find: FaultFinder = {
    targets: [...Object.keys(file.routes ?? {}), ...models],
    fault(at, expected, got) {
      faults.push({ line: source.lineOf(at), field: at.join('.'), expected, got })
    },
    oneOf(at, names, got) {
      if (names.includes(got)) return
      find.fault(at, `one of ${names.join(', ') || '(none is defined)'}`, got)
    },
    models(at, names = []) {
      for (const [i, name] of names.entries()) find.oneOf([...at, i], models, name)
    },
    unique(at, names) {
      for (const [i, name] of names.entries()) {
        if (names.indexOf(name) < i) find.fault([...at, i, 'name'], 'a name of its own', name)
      }
    },
  }
  for (const check of checks) check(file, find)
  return faults
}

export interface PolicySurroundings {
  /** names of `gateway.models`; any, where nothing is served */
  readonly models?: Iterable<string>
  /** of the routers that the `learned` section may ask; none where it names no router that is served */
  readonly pairs: readonly RouterPair[]
}

/**
 * Holds a policy file to what it is served beside: models that nobody answers for, and routers that would
 * pick a model the policy does not know, are refused before the first request.
 *
 * @throws config_invalid
 */
export function assertPolicyFits(
  { file, source }: CheckedPolicy,
  { models, pairs }: PolicySurroundings,
): void {
  const refuse = (at: readonly string[], expected: string, got: string): never => {
    const fault: PolicyFault = { line: source.lineOf(at), field: at.join('.'), expected, got }
    throw faultError(fault, source.path)
  }
  const served = models && new Set(models)
  for (const model of Object.keys(file.models)) {
    if (served && !served.has(model)) {
      refuse(['models', model], `one of gateway.models (${[...served].join(', ')})`, model)
    }
  }
  if (!file.learned) return
  if (pairs.length === 0) {
    refuse(['learned', 'router'], 'a router that is served', file.learned.router ?? 'none')
  }
  for (const { router, strong, weak } of pairs) {
    for (const [role, model] of Object.entries({ strong, weak })) {
      if (Object.hasOwn(file.models, model)) continue
      const expected = `${model}, the ${role} model of the router ${router}, among the models`
      refuse(['learned'], expected, Object.keys(file.models).join(', '))
    }
  }
}

/** Each section's own check. A section of another folder adds its own here. */
const SECTION_CHECKS: readonly SectionCheck[] = [
  routesCheck,
  keysCheck,
  privacyCheck,
  guardrailsCheck,
  rulesCheck,
  semanticCheck,
  decideByModelCheck,
  learnedCheck,
  budgetsCheck,
  defaultCheck,
]

function routesCheck(...[file, find]: Parameters<SectionCheck>): void {
  for (const [name, route] of Object.entries(file.routes ?? {})) {
    if (Object.hasOwn(file.models, name)) {
      find.fault(['routes', name], 'a name that is no model’s', name)
    }
    if (WHOLE_POLICY.has(name)) {
      find.fault(['routes', name], 'a name that does not stand for the policy itself', name)
    }
    find.models(['routes', name, 'models'], route.models)
    if (route.strategy) strategyCheck(['routes', name, 'strategy'], route.strategy, file, find)
    bodyCheck(['routes', name, 'parameters'], route.parameters, find)
  }
}

/** What the gateway itself puts into a body. */
function bodyCheck(
  at: readonly (string | number)[],
  parameters: object = {},
  find: FaultFinder,
): void {
  for (const key of ['model', 'messages', 'stream']) {
    if (Object.hasOwn(parameters, key)) find.fault([...at, key], 'any parameter but this', key)
  }
}

function strategyCheck(
  at: readonly (string | number)[],
  strategy: StrategySettings,
  { models }: PolicyFile,
  find: FaultFinder,
): void {
  findSettingsFaults(strategy, {
    fault: (field, expected, got) => find.fault([...at, ...field], expected, got),
    model: (field, name) => find.oneOf([...at, ...field], Object.keys(models), name),
  })
}

function keysCheck(...[file, find]: Parameters<SectionCheck>): void {
  for (const [name, key] of Object.entries(file.keys ?? {})) {
    find.models(['keys', name, 'models'], key.models)
  }
}

function privacyCheck(...[{ privacy, models, semantic }, find]: Parameters<SectionCheck>): void {
  if (!privacy) return
  patternsCheck(['privacy', 'patterns'], privacy.patterns, find)
  if (!Object.values(models).some((model) => model.private)) {
    find.fault(['privacy'], 'at least one model with private: true', 'none')
  }
  if (semantic?.encoder.startsWith('openai:')) {
    const expected = 'an encoder on this machine beside privacy'
    find.fault(['semantic', 'encoder'], expected, semantic.encoder)
  }
}

function guardrailsCheck(...[{ guardrails = [], semantic }, find]: Parameters<SectionCheck>): void {
  find.unique(
    ['guardrails'],
    guardrails.map(({ name }) => name),
  )
  const known = semantic?.routes.map(({ name }) => name) ?? []
  for (const [i, { when, near }] of guardrails.entries()) {
    if (when) conditionCheck(['guardrails', i], when, find)
    if (near !== undefined) find.oneOf(['guardrails', i, 'near'], known, near)
    if (!when && near === undefined) find.fault(['guardrails', i], 'when or near', 'neither')
  }
}

function rulesCheck(...[{ rules = [] }, find]: Parameters<SectionCheck>): void {
  find.unique(
    ['rules'],
    rules.map(({ name }) => name),
  )
  for (const [i, { when, route }] of rules.entries()) {
    conditionCheck(['rules', i], when, find)
    find.oneOf(['rules', i, 'route'], find.targets, route)
  }
}

function semanticCheck(...[{ semantic, guardrails = [] }, find]: Parameters<SectionCheck>): void {
  if (!semantic) return
  find.unique(
    ['semantic', 'routes'],
    semantic.routes.map(({ name }) => name),
  )
  for (const [i, { name, route }] of semantic.routes.entries()) {
    const at = ['semantic', 'routes', i, 'route']
    if (route !== undefined) find.oneOf(at, find.targets, route)
    else if (!guardrails.some(({ near }) => near === name)) {
      find.fault(at, 'a route, or a guardrail that is near it', 'neither')
    }
  }
}

function decideByModelCheck(...[file, find]: Parameters<SectionCheck>): void {
  const { decide_by_model: section, models, routes = {} } = file
  if (!section) return
  const at = 'decide_by_model'
  find.oneOf([at, 'model'], Object.keys(models), section.model)
  const described = Object.keys(routes).filter((name) => routes[name]!.description !== undefined)
  const offered = section.routes ?? described
  for (const [i, name] of (section.routes ?? []).entries()) {
    find.oneOf([at, 'routes', i], described, name)
  }
  if (offered.length < 2) find.fault([at], 'two routes or more with a description', 'fewer')
  if (offered.includes(NO_ROUTE)) find.fault(['routes', NO_ROUTE], 'another name', NO_ROUTE)
  bodyCheck([at, 'parameters'], section.parameters, find)
}

function learnedCheck(...[file, find]: Parameters<SectionCheck>): void {
  const { strategy } = file.learned ?? {}
  if (!strategy) return
  const at = ['learned', 'strategy']
  if (strategy.kind === 'cascade') strategyCheck(at, strategy, file, find)
  else find.fault([...at, 'kind'], 'cascade', strategy.kind)
}

/** What is wrong with a policy file's budgets, as far as the file alone can tell. */
function budgetsCheck(...[file, find]: Parameters<SectionCheck>): void {
  const { budgets = [], keys = {} } = file
  find.unique(
    ['budgets'],
    budgets.map(({ name }) => name),
  )
  const tiers = Object.values(keys).flatMap(({ tier }) => tier ?? [])
  const routes = spendingRoutes(file)
  for (const [i, { of = 'all' }] of budgets.entries()) {
    if (of === 'all') continue
    const each = (
      field: keyof BudgetScope,
      look: (at: readonly (string | number)[], name: string) => void,
    ): void => {
      const names = of[field]
      if (typeof names === 'string') look(['budgets', i, 'of', field], names)
      else
        for (const [j, name] of (names ?? []).entries()) look(['budgets', i, 'of', field, j], name)
    }
    each('model', (at, name) => find.oneOf(at, Object.keys(file.models), name))
    each('tier', (at, name) => find.oneOf(at, tiers, name))
    each('route', (at, name) => {
      const expected = expectedRoute(routes, name)
      if (expected !== undefined) find.fault(at, expected, name)
    })
  }
}

/** The names that spending of a policy's requests is counted under. */
export function spendingRoutes({ rules, semantic, routes, models }: PolicyFile): string[] {
  return [
    ...(rules ?? []).map(({ name }) => name),
    ...(semantic?.routes ?? []).map(({ name }) => name),
    ...SPENDING_STEPS,
    // a route or model that the client names decides by its name
    ...Object.keys(routes ?? {}),
    ...Object.keys(models),
  ]
}

function defaultCheck(...[file, find]: Parameters<SectionCheck>): void {
  find.oneOf(['default'], find.targets, file.default)
}

function conditionCheck(
  at: readonly (string | number)[],
  { regex, language = [], characters }: Condition,
  find: FaultFinder,
): void {
  patternsCheck([...at, 'when', 'regex'], regex, find)
  const { min = 0, max = Infinity } = characters ?? {}
  if (min > max)
    find.fault([...at, 'when', 'characters'], 'min of at most max', `${min} and ${max}`)
  for (const [i, code] of language.entries()) {
    find.oneOf([...at, 'when', 'language', i], LANGUAGES, code)
  }
}

function patternsCheck(
  at: readonly (string | number)[],
  patterns: readonly string[] = [],
  find: FaultFinder,
): void {
  for (const [i, text] of patterns.entries()) {
    try {
      compilePattern(text)
    } catch (error) {
      const expected = 'an RE2 pattern (no look-around, no back-references)'
      find.fault([...at, i], expected, (error as Error).message)
    }
  }
}
