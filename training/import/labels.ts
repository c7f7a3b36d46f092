import { WeirError } from '../../core/errors.ts'
import type { HfClassifier } from '../../models/encoders/hf/classifier.ts'
import type { ImportedHead } from '../../models/families/imported.ts'

/** What the outputs of a classifier mean, with the models that its head scores, in their order. */
export interface Meaning {
  readonly head: ImportedHead
  readonly models: readonly string[]
}

interface Named {
  readonly strong: string
  readonly weak: string
}

/** The class of each output: how much of a win of the strong model it is. */
const VALUES: ReadonlyMap<string, number> = new Map([
  ['strong', 1],
  ['tie', 0.5],
  ['weak', 0],
])
/** RouteLLM's BERT router: 0 the strong model wins, 1 a tie, 2 the weak one wins; its own code counts a tie as weak. */
const ROUTELLM = ['strong', 'weak', 'weak'] as const
const RANGE = /^range:(-?[\d.]+(?:e-?\d+)?)\.\.(-?[\d.]+(?:e-?\d+)?)$/

const GRAMMAR =
  'one of strong, tie, weak or a number from 0 to 1 for each output in order (or name=value for each), routellm, range:LOW..HIGH, or models'

const invalid = (expected: string, got: string): WeirError =>
  new WeirError('option_invalid', { option: '--labels', expected, got })

/**
 * Reads `--labels`; without it, the names in the classifier's configuration say what its outputs mean, or it is
 * refused.
 *
 * @throws option_invalid
 */
export function meaningOf(
  given: string | undefined,
  classifier: Pick<HfClassifier, 'labels' | 'problem'>,
  pair: Named,
): Meaning {
  const { labels, problem } = classifier
  const models = [pair.strong, pair.weak]
  if (given === 'models' || (given === undefined && problem === 'multi_label_classification')) {
    return modelHeads(labels, pair)
  }
  if (given?.startsWith('range:') || (given === undefined && problem === 'regression')) {
    return { head: rangeOf(given ?? 'range:0..1', labels.length), models }
  }
  const named = given === undefined ? byName(labels, pair) : valuesOf(given, labels)
  return { head: { kind: 'classes', values: named }, models }
}

function modelHeads(labels: readonly string[], { strong, weak }: Named): Meaning {
  for (const model of [strong, weak]) {
    if (labels.includes(model)) continue
    throw invalid(`an output named ${model} (id2label)`, labels.join(', '))
  }
  if (new Set(labels).size < labels.length) {
    throw invalid('a name of its own for each output (id2label)', labels.join(', '))
  }
  return { head: { kind: 'models', outputs: [...labels.keys()] }, models: labels }
}

function rangeOf(text: string, outputs: number): ImportedHead {
  const [, low, high] = RANGE.exec(text) ?? []
  const [weak, strong] = [Number(low), Number(high)]
  if (low === undefined || !Number.isFinite(weak - strong) || weak === strong) {
    throw invalid(
      'range:LOW..HIGH, the outputs at which weak and strong are sure to be better (range:5..1 where a high output means an easy prompt)',
      text,
    )
  }
  if (outputs !== 1) throw invalid('one output for a range', `${outputs} outputs`)
  return { kind: 'range', weak, strong }
}

/** The values of named outputs: the models' names, or strong, tie and weak; three unnamed ones are RouteLLM's. */
function byName(labels: readonly string[], { strong, weak }: Named): number[] {
  const known = new Map([...VALUES, [strong.toLowerCase(), 1], [weak.toLowerCase(), 0]])
  const found = labels.map((label) => known.get(label.toLowerCase().trim()))
  if (found.every((value) => value !== undefined) && differ(found)) return found
  const unnamed = labels.every((label, k) => label === `LABEL_${k}`)
  if (unnamed && labels.length === 3) return [1, 0.5, 0]
  throw invalid(
    `what each output means, because its names do not say (${GRAMMAR})`,
    labels.join(', '),
  )
}

function valuesOf(given: string, labels: readonly string[]): number[] {
  const parts = given === 'routellm' ? [...ROUTELLM] : given.split(',').map((part) => part.trim())
  const named = parts.some((part) => part.includes('='))
  const ordered = named ? inOrder(parts, labels) : parts
  // one logit has two classes: the one it speaks for, and the other
  const expected = labels.length === 1 ? 2 : labels.length
  if (ordered.length !== expected) {
    throw invalid(`${expected} values, one for each of ${labels.join(', ')}`, given)
  }
  const values = ordered.map((part) => {
    const value = VALUES.get(part) ?? (part === '' ? Number.NaN : Number(part))
    if (value >= 0 && value <= 1) return value
    throw invalid(GRAMMAR, part)
  })
  if (differ(values)) return values
  throw invalid('values that differ, or every prompt has the same win rate', given)
}

const differ = (values: readonly number[]): boolean => values.some((one) => one !== values[0])

/** `name=value` for every output, in the order of the outputs. */
function inOrder(parts: readonly string[], labels: readonly string[]): string[] {
  const pairs = new Map(
    parts.map((part) => {
      const at = part.lastIndexOf('=')
      return [part.slice(0, at), part.slice(at + 1)] as const
    }),
  )
  const other = [...pairs.keys()].find((name) => !labels.includes(name))
  if (other !== undefined) throw invalid(`names among ${labels.join(', ')}`, other)
  return labels.map((label) => {
    const value = pairs.get(label)
    if (value === undefined) throw invalid(`a value of ${label} too`, parts.join(','))
    return value
  })
}
