import { describe, expect, it } from 'vitest'
import { LruMap, RecentMap } from '../../core/bounded-map.ts'

describe('LruMap', () => {
  it('drops the entry that was not used for longest', () => {
    const map = new LruMap<string, number>(2)
    map.set('a', 1)
    map.set('b', 2)
    expect(map.get('a')).toBe(1)
    map.set('c', 3)
    expect([map.get('a'), map.get('b'), map.get('c')]).toEqual([1, undefined, 3])
    map.set('a', 4)
    map.set('d', 5)
    expect([map.get('a'), map.get('c'), map.get('d')]).toEqual([4, undefined, 5])
  })
})

describe('RecentMap', () => {
  it('keeps at least half of its limit and never more than all of it', () => {
    const map = new RecentMap<number, number>(100)
    const kept = (n: number): number =>
      Array.from({ length: n }, (_, i) => i).filter((i) => map.get(i) !== undefined).length
    for (let i = 0; i < 1000; i++) map.set(i, i)
    expect(map.get(999)).toBe(999)
    expect(kept(1000)).toBeGreaterThanOrEqual(50)
    expect(kept(1000)).toBeLessThanOrEqual(100)
  })

  it('keeps what is asked for', () => {
    const map = new RecentMap<number, number>(10)
    for (let i = 0; i < 1000; i++) {
      map.set(i, i)
      expect(map.get(0)).toBe(0)
    }
    expect(map.get(500)).toBeUndefined()
  })
})
