import { hashText, unitInterval } from '../../core/hash.ts'

export type Split = 'train' | 'validation' | 'calibration' | 'test'

/** In the order of the indices that a dataset stores. */
export const SPLITS = ['train', 'validation', 'calibration', 'test'] as const satisfies Split[]

export type SplitFractions = Readonly<Record<Split, number>>

export const DEFAULT_FRACTIONS: SplitFractions = {
  train: 0.65,
  validation: 0.1,
  calibration: 0.1,
  test: 0.15,
}

/**
 * The split of a stem, as an index into SPLITS: the same on every machine, whatever other rows the log has.
 */
export function splitOf(stem: string, seed: number, fractions: SplitFractions): number {
  const hash = new Uint32Array(2)
  hashText(stem, seed, hash)
  return splitAt(unitInterval(hash), fractions)
}

/** The split whose part of [0, 1) contains the point. */
function splitAt(point: number, fractions: SplitFractions): number {
  let upper = 0
  for (let i = 0; i < SPLITS.length; i++) {
    upper += fractions[SPLITS[i]!]
    if (point < upper) return i
  }
  return SPLITS.findLastIndex((split) => fractions[split] > 0)
}

/** The data about n prompts that splitting needs. */
export interface SplitInput {
  /** 64-bit hashes of the stems with the seed, two words per prompt */
  readonly stems: Uint32Array
  readonly seed: number
  readonly fractions: SplitFractions
  /** pairs of a prompt and a key; prompts that share one ask the same under different templates */
  readonly cores?: { readonly prompt: Int32Array; readonly key: Float64Array }
  /** pairs of a prompt and the number of a group that contains it */
  readonly groups?: {
    readonly prompt: Int32Array
    readonly group: Int32Array
    readonly names: readonly string[]
  }
  /** index into `names`, -1 for none; whole categories become the test split */
  readonly testBy?: { readonly category: Int32Array; readonly names: readonly string[] }
  /** prompts first seen at this time or later (seconds since 1970) become the test split */
  readonly testAfter?: { readonly first: Float64Array; readonly time: number }
}

const TRAIN = SPLITS.indexOf('train')
const TEST = SPLITS.indexOf('test')

export interface AssignedSplits {
  /** per prompt an index into SPLITS */
  readonly split: Uint8Array
  /** prompts that are together with a prompt of another stem because they ask the same under another template */
  readonly copies: number
  /** prompts that so many groups share that they are kept for training instead of joining the groups */
  readonly common: number
}

/**
 * The split of every prompt. Prompts with the same stem, the same question under another template, or the same
 * group always share a split, except prompts that join too many groups: those go to train, where they harm no
 * figure. Without groups, templates and a harder test, a prompt's split depends only on its hash, whatever
 * other rows the log has.
 */
export function assignSplits(input: SplitInput): AssignedSplits {
  const n = input.stems.length / 2
  const { points, common, copies } = pointsOf(input, n)
  const split = new Uint8Array(n)
  const held = heldOut(input, points)
  const fractions = held ? withoutTest(input.fractions) : input.fractions
  let kept = 0
  for (let i = 0; i < n; i++) {
    split[i] = held?.has(points[i]!) ? TEST : splitAt(points[i]!, fractions)
    if (!common[i] || fractions.train === 0) continue
    split[i] = TRAIN
    kept++
  }
  return { split, copies, common: kept }
}

interface Points {
  /** one number in [0, 1) per prompt, equal for prompts that must stay together and only for those */
  readonly points: Float64Array
  /** 1 for prompts that belong to several groups without joining them */
  readonly common: Uint8Array
  readonly copies: number
}

/** Groups that a shared prompt joins may together have this share of the prompts, or this many. */
const MOST_JOINED = 0.05
const MOST_JOINED_PROMPTS = 20

/**
 * Prompts and groups that are connected form one component. Its point is that of its smallest group, so that
 * new prompts of a group never move its old ones. Prompts that are in several groups join them, those in the
 * fewest first, as long as the component stays small: one "hi" that every user says would join them all.
 */
function pointsOf({ stems, groups, cores, seed }: SplitInput, n: number): Points {
  const points = new Float64Array(n)
  for (let i = 0; i < n; i++) points[i] = unitInterval(stems.subarray(i * 2, i * 2 + 2))
  const common = new Uint8Array(n)
  const runs = cores ? copiesOf(cores, points) : []
  const grouped = groups !== undefined && groups.prompt.length > 0
  if (runs.length === 0 && !grouped) return { points, common, copies: 0 }

  const { ranks: nodeOf, distinct: first } = ranked(points)
  const joined = new Components(first + (grouped ? groups.names.length : 0))
  for (const node of nodeOf) joined.size[node]!++
  for (const run of runs) {
    for (const prompt of run.prompts) joined.union(nodeOf[prompt]!, nodeOf[run.prompts[0]!]!)
  }
  const left = new Set<number>()
  if (grouped) {
    const groupsOf = new Map<number, Set<number>>()
    groups.prompt.forEach((prompt, i) => {
      const root = joined.root(nodeOf[prompt]!)
      const known = groupsOf.get(root)
      if (known) known.add(groups.group[i]!)
      else groupsOf.set(root, new Set([groups.group[i]!]))
    })
    const most = Math.max(MOST_JOINED_PROMPTS, MOST_JOINED * n)
    const order = [...groupsOf].sort(([, a], [, b]) => a.size - b.size)
    for (const [root, members] of order) {
      const all = new Set([joined.root(root)])
      for (const group of members) all.add(joined.root(first + group))
      let size = 0
      for (const part of all) size += joined.size[part]!
      if (members.size > 1 && size > most) left.add(root)
      else for (const part of all) joined.union(part, root)
    }
  }
  const smallest = new Float64Array(joined.size.length).fill(Number.POSITIVE_INFINITY)
  const lower = (root: number, point: number): void => {
    smallest[root] = Math.min(smallest[root]!, point)
  }
  const hash = new Uint32Array(2)
  const named = new Set<number>()
  if (grouped) {
    groups.names.forEach((name, group) => {
      hashText(name, seed, hash)
      const root = joined.root(first + group)
      named.add(root)
      lower(root, unitInterval(hash))
    })
  }
  for (const run of runs) {
    const root = joined.root(nodeOf[run.prompts[0]!]!)
    if (named.has(root)) continue
    hashText(`core ${run.key}`, seed, hash)
    lower(root, unitInterval(hash))
  }
  const together = points.map((point, i) => {
    const root = joined.root(nodeOf[i]!)
    if (left.has(root)) common[i] = 1
    const of = smallest[root]!
    return of === Number.POSITIVE_INFINITY ? point : of
  })
  const copies = new Set(runs.flatMap((run) => [...run.prompts])).size
  return { points: together, common, copies }
}

/** The rank of each value among the distinct ones. A Map would have a limit of 16 million. */
function ranked(values: Float64Array): { readonly ranks: Int32Array; readonly distinct: number } {
  const sorted = values.slice().sort()
  let distinct = 0
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[distinct++] = sorted[i]!
  }
  const ranks = Int32Array.from(values, (value) => {
    let low = 0
    for (let high = distinct; low + 1 < high; ) {
      const middle = (low + high) >>> 1
      if (sorted[middle]! <= value) low = middle
      else high = middle
    }
    return low
  })
  return { ranks, distinct }
}

interface Run {
  readonly key: number
  readonly prompts: readonly number[]
}

/** Prompts that share a core, in runs that have more than one stem, in the order of their cores. */
function copiesOf({ key, prompt }: NonNullable<SplitInput['cores']>, points: Float64Array): Run[] {
  const runs = new Map<number, number[]>(repeated(key).map((one) => [one, []]))
  key.forEach((one, i) => {
    runs.get(one)?.push(prompt[i]!)
  })
  return [...runs]
    .map(([of, prompts]) => ({ key: of, prompts }))
    .filter(({ prompts }) => prompts.some((i) => points[i] !== points[prompts[0]!]))
}

/** Values that occur more than once, ascending. */
function repeated(values: Float64Array): number[] {
  const sorted = values.slice().sort()
  const found: number[] = []
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i] === sorted[i - 1] && sorted[i] !== found.at(-1)) found.push(sorted[i]!)
  }
  return found
}

/** Union-find with the number of prompts of each component. */
class Components {
  readonly size: Int32Array
  private readonly parent: Int32Array

  constructor(nodes: number) {
    this.size = new Int32Array(nodes)
    this.parent = Int32Array.from({ length: nodes }, (_, i) => i)
  }

  root(node: number): number {
    const { parent } = this
    let at = node
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!
      at = parent[at]!
    }
    return at
  }

  union(a: number, b: number): void {
    const from = this.root(a)
    const to = this.root(b)
    if (from === to) return
    this.parent[from] = to
    this.size[to]! += this.size[from]!
  }
}

/** Points of the prompts held out for a harder test; undefined if none was requested. */
function heldOut(input: SplitInput, points: Float64Array): Set<number> | undefined {
  if (input.testAfter) {
    const { first, time } = input.testAfter
    const held = new Set(points)
    points.forEach((point, i) => {
      if (!(first[i]! >= time)) held.delete(point)
    })
    return held
  }
  if (input.testBy) {
    const { category } = input.testBy
    const chosen = testCategories(input)
    const held = new Set<number>()
    points.forEach((point, i) => {
      if (chosen.has(category[i]!)) held.add(point)
    })
    return held
  }
  return undefined
}

/** Categories in the order of their seeded hash, until they reach the test fraction of the prompts. */
export function testCategories({ testBy, seed, fractions, stems }: SplitInput): Set<number> {
  const chosen = new Set<number>()
  if (!testBy) return chosen
  const sizes = new Float64Array(testBy.names.length)
  for (const category of testBy.category) if (category >= 0) sizes[category]!++
  const hash = new Uint32Array(2)
  const order = testBy.names
    .map((name, number) => {
      hashText(name, seed, hash)
      return { number, point: unitInterval(hash) }
    })
    .sort((a, b) => a.point - b.point)
  const wanted = (fractions.test * stems.length) / 2
  let taken = 0
  for (const { number } of order) {
    // At least one category always stays for training.
    if (taken >= wanted || chosen.size === order.length - 1) break
    chosen.add(number)
    taken += sizes[number]!
  }
  return chosen
}

function withoutTest(fractions: SplitFractions): SplitFractions {
  const rest = fractions.train + fractions.validation + fractions.calibration
  return {
    train: fractions.train / rest,
    validation: fractions.validation / rest,
    calibration: fractions.calibration / rest,
    test: 0,
  }
}

/** Held-out parts that got less than half of their share, as sentences; of few prompts that is chance. */
export function shortParts(
  counts: Readonly<Record<Split | 'prompts', number>>,
  fractions: SplitFractions,
): string[] {
  return SPLITS.slice(1)
    .filter((split) => fractions[split] * counts.prompts >= LEAST_EXPECTED)
    .filter((split) => counts[split] < (fractions[split] * counts.prompts) / 2)
    .map((split) => {
      const wanted = Math.round(fractions[split] * counts.prompts)
      return `${split} has ${counts[split]} prompts where its share is ${wanted}: prompts that must stay together fill other parts`
    })
}
const LEAST_EXPECTED = 20
