import type { GraphValue, Tape } from './tape.ts'

/**
 * Reverse-mode differentiation of a tape (Griewank and Walther 2008, ch. 3): the gradients of
 * sum(seed * output) with respect to `wanted`, written into the tape's own graph.
 */
export function differentiate(
  tape: Tape,
  output: GraphValue,
  seed: GraphValue,
  wanted: readonly GraphValue[],
): GraphValue[] {
  const gradients = new Map<string, GraphValue>([[output.name, seed]])
  for (const entry of tape.entries.toReversed()) {
    const gradient = gradients.get(entry.output.name)
    if (!gradient) continue
    const contributions = entry.backward(gradient)
    for (const [i, input] of entry.inputs.entries()) {
      if (!input.tracked) continue
      const known = gradients.get(input.name)
      const more = contributions[i]!
      gradients.set(input.name, known ? tape.sum(known, more) : more)
    }
  }
  return wanted.map((value) => {
    const gradient = gradients.get(value.name)
    if (!gradient) throw new TypeError(`the loss does not depend on ${value.name}`)
    return tape.expand(gradient, value.shape)
  })
}
