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

describe('LruMap with a limit of bytes', () => {
  it('drops what was not used for longest, and keeps nothing that is larger than all', () => {
    const map = new LruMap<string, string>(10, { bytes: 10, sizeOf: ({ length }) => length })
    map.set('a', 'xxxx')
    map.set('b', 'xxxx')
    map.set('c', 'xxx')
    expect(['a', 'b', 'c'].map((key) => map.get(key)?.length)).toEqual([undefined, 4, 3])
    map.set('d', 'x'.repeat(11))
    expect(map.get('d')).toBeUndefined()
    map.set('e', '')
    expect(map.get('e')).toBe('')
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
