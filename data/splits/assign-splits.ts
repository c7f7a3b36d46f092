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

const TEST = SPLITS.indexOf('test')

/**
 * The split of every prompt, as an index into SPLITS. Prompts with the same stem or group always share a
 * split. Without a harder test, a prompt's split depends only on its hash, whatever other rows the log has.
 */
export function assignSplits(input: SplitInput): Uint8Array {
  const n = input.stems.length / 2
  const points = pointsOf(input, n)
  const split = new Uint8Array(n)
  const held = heldOut(input, points)
  if (!held) {
    for (let i = 0; i < n; i++) split[i] = splitAt(points[i]!, input.fractions)
    return split
  }
  const rest = withoutTest(input.fractions)
  for (let i = 0; i < n; i++) split[i] = held.has(points[i]!) ? TEST : splitAt(points[i]!, rest)
  return split
}

/** One number in [0, 1) per prompt, equal for prompts that must stay together and only for those. */
function pointsOf({ stems, groups, seed }: SplitInput, n: number): Float64Array {
  const points = new Float64Array(n)
  for (let i = 0; i < n; i++) points[i] = unitInterval(stems.subarray(i * 2, i * 2 + 2))
  if (!groups || groups.prompt.length === 0) return points
  return joinGroups(points, groups, seed)
}

/**
 * Prompts and groups that are connected form one component. Its point is that of its smallest group, so that
 * new prompts of a group never move its old ones.
 */
function joinGroups(
  points: Float64Array,
  groups: NonNullable<SplitInput['groups']>,
  seed: number,
): Float64Array {
  const nodes = new Map<number, number>()
  const nodeOf = Int32Array.from(points, (point) => {
    const node = nodes.get(point) ?? nodes.size
    nodes.set(point, node)
    return node
  })
  const stems = nodes.size
  const parent = Int32Array.from({ length: stems + groups.names.length }, (_, i) => i)
  const root = (node: number): number => {
    let at = node
    while (parent[at] !== at) {
      parent[at] = parent[parent[at]!]!
      at = parent[at]!
    }
    return at
  }
  groups.prompt.forEach((prompt, i) => {
    parent[root(nodeOf[prompt]!)] = root(stems + groups.group[i]!)
  })
  const smallest = new Float64Array(parent.length).fill(Number.POSITIVE_INFINITY)
  const hash = new Uint32Array(2)
  groups.names.forEach((name, group) => {
    hashText(name, seed, hash)
    const at = root(stems + group)
    smallest[at] = Math.min(smallest[at]!, unitInterval(hash))
  })
  return points.map((point, i) => {
    const joined = smallest[root(nodeOf[i]!)]!
    return joined === Number.POSITIVE_INFINITY ? point : joined
  })
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
