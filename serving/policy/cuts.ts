/** A score that a class should refuse, and how much that counts. */
export interface Stranger {
  readonly owner: number
  readonly score: number
  readonly weight: number
}

/** A class's cut is its own as far as it has so many scores on either side, else that of all classes together. */
const SHRINKAGE = 8

/**
 * How much a stranger that is taken counts beside an own text that is refused: that one still gets the answer of
 * the default route, the other a specialist's for something else.
 */
const STRANGER_COST = 1.5

/**
 * The score from which each class takes a text. All classes' scores together give one cut, the one with the
 * best balance of own texts kept and strangers refused; a class's own cut, which few examples place badly, is
 * drawn toward it.
 *
 * @param own the score of each text for its own class
 * @param strangers the score of each text that is of none, or whose class is taken away, for the class nearest to it
 */
export function fitCuts(
  own: readonly { readonly owner: number; readonly score: number }[],
  strangers: readonly Stranger[],
  classes: number,
): Float64Array {
  const pooled = bestCut(
    own.map(({ score }) => score),
    strangers,
  )
  return Float64Array.from({ length: classes }, (_, c) => {
    const mine = own.flatMap(({ owner, score }) => (owner === c ? [score] : []))
    const others = strangers.filter(({ owner }) => owner === c)
    const known = Math.min(mine.length, others.length)
    if (known === 0) return pooled
    return (known * bestCut(mine, others) + SHRINKAGE * pooled) / (known + SHRINKAGE)
  })
}

/** In the middle of the widest gap among the cuts with the greatest weighed sum of shares on the right side. */
export function bestCut(
  own: readonly number[],
  strangers: readonly Pick<Stranger, 'score' | 'weight'>[],
): number {
  const total = strangers.reduce((sum, { weight }) => sum + weight, 0) || 1
  const sorted = [
    ...own.map((score) => ({ score, keeps: 1 / own.length, refuses: 0 })),
    ...strangers.map(({ score, weight }) => ({
      score,
      keeps: 0,
      refuses: (STRANGER_COST * weight) / total,
    })),
  ].sort((a, b) => a.score - b.score)
  let right = 1
  let best = { right: -1, gap: -1, cut: 0.5 }
  for (const [i, { score, keeps, refuses }] of sorted.entries()) {
    right += refuses - keeps
    const next = sorted[i + 1]
    if (!next) break
    const gap = next.score - score
    const better = right - best.right
    if (better > 1e-9 || (better > -1e-9 && gap > best.gap)) {
      best = { right, gap, cut: score + gap / 2 }
    }
  }
  return best.cut
}
