/** How votes fell. */
export interface Tally {
  /** index of the first vote of the largest group; ties go to the group that began first. -1 where nobody voted */
  readonly winner: number
  /** votes of that group */
  readonly votes: number
}

/** Counts votes that are alike; undefined is no vote. */
export function tally(votes: readonly (string | undefined)[]): Tally {
  const groups = new Map<string, { first: number; count: number }>()
  for (const [i, vote] of votes.entries()) {
    if (vote === undefined) continue
    const group = groups.get(vote)
    if (group) group.count++
    else groups.set(vote, { first: i, count: 1 })
  }
  let best = { first: -1, count: 0 }
  for (const group of groups.values()) if (group.count > best.count) best = group
  return { winner: best.first, votes: best.count }
}
