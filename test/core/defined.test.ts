import { describe, expect, it } from 'vitest'
import { definedOnly } from '../../core/defined.ts'

describe('definedOnly', () => {
  it('leaves out what is undefined and keeps everything else in its order', () => {
    const note: string | undefined = undefined
    const made = definedOnly({ b: 1, note, a: null as null | string, zero: 0, empty: '' })
    expect(JSON.stringify(made)).toBe('{"b":1,"a":null,"zero":0,"empty":""}')
    expect('note' in made).toBe(false)
  })

  it('fits a type with optional properties under exactOptionalPropertyTypes', () => {
    interface Row {
      readonly id: number
      readonly note?: string
      readonly tags?: readonly string[]
    }
    const rowOf = (note?: string, tags?: string[]): Row => definedOnly({ id: 1, note, tags })
    expect(Object.keys(rowOf())).toEqual(['id'])
    expect(rowOf('x', ['y'])).toEqual({ id: 1, note: 'x', tags: ['y'] })
  })
})
