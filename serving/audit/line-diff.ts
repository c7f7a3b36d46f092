/** Lines beyond which the middle of two texts is given whole, old then new: bounds time and memory. */
const LIMIT = 2_000

/**
 * What one text has to lose and gain to be the other, a line each: `-12 old` and `+12 new`, with the number
 * of the line in its own text. By a longest common subsequence of what is left between equal ends.
 */
export function lineDiff(before: string, after: string): string {
  const [a, b] = [before.split('\n'), after.split('\n')]
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end++
  const [mine, its] = [a.slice(start, a.length - end), b.slice(start, b.length - end)]
  const kept = Math.max(mine.length, its.length) > LIMIT ? [] : common(mine, its)
  const out: string[] = []
  let [i, j] = [0, 0]
  for (const [x, y] of [...kept, [mine.length, its.length] as const]) {
    while (i < x) out.push(`-${start + i + 1} ${mine[i++]}`)
    while (j < y) out.push(`+${start + j + 1} ${its[j++]}`)
    i++
    j++
  }
  return out.join('\n')
}

/** Index pairs of a longest common subsequence, ascending. */
function common(a: readonly string[], b: readonly string[]): (readonly [number, number])[] {
  const width = b.length + 1
  const best = new Uint16Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      best[i * width + j] =
        a[i] === b[j]
          ? best[(i + 1) * width + j + 1]! + 1
          : Math.max(best[(i + 1) * width + j]!, best[i * width + j + 1]!)
    }
  }
  const pairs: (readonly [number, number])[] = []
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    if (a[i] === b[j]) pairs.push([i++, j++])
    else if (best[(i + 1) * width + j]! >= best[i * width + j + 1]!) i++
    else j++
  }
  return pairs
}
