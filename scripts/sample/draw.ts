import type { Random } from '../../core/random.ts'

export function pick<T>(random: Random, items: readonly T[]): T {
  return items[random.int(items.length)]!
}

/** `count` different items, in random order. */
export function several<T>(random: Random, items: readonly T[], count: number): T[] {
  return random.shuffle([...items]).slice(0, count)
}

/** Uniform integer from `low` to `high`, both included. */
export function between(random: Random, low: number, high: number): number {
  return low + random.int(high - low + 1)
}

/** A level 0..n-1 and its place in [0, 1]: what most families build a prompt's difficulty from. */
export function level(random: Random, n: number): { readonly at: number; readonly share: number } {
  const at = random.int(n)
  return { at, share: n === 1 ? 0 : at / (n - 1) }
}

/** Fills `{slot}` from the list of that name; a slot met twice is drawn twice. */
export function fill(
  random: Random,
  template: string,
  slots: Readonly<Record<string, readonly string[] | string>>,
): string {
  const filled = template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const values = slots[name]
    if (values === undefined) throw new Error(`template has no list for {${name}}: ${template}`)
    const value = typeof values === 'string' ? values : pick(random, values)
    return value.includes('{') ? fill(random, value, slots) : value
  })
  return articles(filled)
}

/** "a apple" -> "an apple"; the lists are written without articles. */
export function articles(text: string): string {
  return text.replace(
    /\b([Aa]) (?=(?!(?:use|user|uni[fqtv]|one|euro|uti))[aeiouAEIOU]\w|8|11\b|18\b)/g,
    '$1n ',
  )
}

/** "a, b and c" */
export function listed(items: readonly string[]): string {
  if (items.length < 2) return items[0] ?? ''
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`
}

export function capitalised(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Rounds and keeps within [0, 1]. */
export function unit(value: number): number {
  return Math.round(Math.min(1, Math.max(0, value)) * 1000) / 1000
}
