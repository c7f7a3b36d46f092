import type { Tape } from './tape.ts'
import type { GraphValue, ScaledValue } from './value-graph.ts'

/**
 * Reverse-mode differentiation of a tape (Griewank and Walther 2008, ch. 3): the gradients of
 * sum(seed * output) with respect to `wanted`, each plus its term if it has one, written into the
 * tape's own graph.
 */
export function differentiate(
  tape: Tape,
  output: GraphValue,
  seed: GraphValue,
  wanted: readonly { readonly value: GraphValue; readonly term?: ScaledValue }[],
): GraphValue[] {
  const gradients = new Map<string, GraphValue>([[output.name, seed]])
  const terms = new Map<string, ScaledValue>()
  for (const { value, term } of wanted) if (term) terms.set(value.name, term)
  const takeTerm = (input: GraphValue): ScaledValue | undefined => {
    const term = input.tracked ? terms.get(input.name) : undefined
    terms.delete(input.name)
    return term
  }

  for (const entry of tape.entries.toReversed()) {
    const gradient = gradients.get(entry.output.name)
    if (!gradient) continue
    const contributions = entry.backward(
      gradient,
      entry.addsTerms ? entry.inputs.map(takeTerm) : [],
    )
    for (const [i, input] of entry.inputs.entries()) {
      if (!input.tracked) continue
      const known = gradients.get(input.name)
      const more = contributions[i]!
      gradients.set(input.name, known ? tape.sum(known, more) : more)
    }
  }
  return wanted.map(({ value }) => {
    const gradient = gradients.get(value.name)
    if (!gradient) throw new TypeError(`the loss does not depend on ${value.name}`)
    const whole = tape.expand(gradient, value.shape)
    const term = terms.get(value.name)
    return term ? tape.sum(whole, tape.times(term.value, term.factor)) : whole
  })
}
