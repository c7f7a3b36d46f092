import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { approve, approvedState, proposals, propose } from '../../../serving/audit/approvals.ts'
import { nameFault, sameName } from '../../../serving/audit/person-name.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weir-approvals-'))
})
afterEach(() => rm(folder, { recursive: true }))

const person = (name: string) => ({ name, user: 'ci', host: 'one' })
const NOW = new Date('2026-03-01T12:00:00Z')
const text = 'version: 1\nmodels: {a: {}}\ndefault: a\n'
const given = { text, path: 'policy.yaml', by: person('alice') }
const served = { text, path: 'policy.yaml', hash: 'abc' }

describe('the two-person rule', () => {
  test('lets a text serve that another one approved, and no other text', async () => {
    const { id } = await propose(folder, { ...given, note: 'first' }, NOW)
    await expect(approvedState(folder, served)).rejects.toMatchObject({ code: 'policy_unapproved' })
    await approve(folder, id, person('bob'), NOW)
    const { proposal, approval } = await approvedState(folder, served)
    expect([proposal.by.name, proposal.note, approval.by.name]).toEqual(['alice', 'first', 'bob'])
    await expect(approvedState(folder, { ...served, text: `${text} ` })).rejects.toMatchObject({
      code: 'policy_unapproved',
    })
  })

  test.each(['alice', ' Alice ', 'ALICE', 'ａｌｉｃｅ'])(
    'refuses the author’s own approval as %j',
    async (name) => {
      const { id } = await propose(folder, given, NOW)
      await expect(approve(folder, id, person(name), NOW)).rejects.toMatchObject({
        code: 'approval_refused',
      })
      await expect(approvedState(folder, served)).rejects.toMatchObject({
        code: 'policy_unapproved',
      })
    },
  )

  test('does not count an approval once its proposal or the approval itself was changed', async () => {
    const { id } = await propose(folder, given, NOW)
    await approve(folder, id, person('bob'), NOW)
    const change = async (name: string, from: string, to: string): Promise<void> => {
      const path = join(folder, `${id}.${name}.json`)
      const before = await readFile(path, 'utf8')
      expect(before).toContain(from)
      await writeFile(path, before.replace(from, to))
      await expect(approvedState(folder, served)).rejects.toMatchObject({
        code: 'policy_unapproved',
      })
      await writeFile(path, before)
      await approvedState(folder, served)
    }
    await change('proposal', '"alice"', '"carol"')
    await change('proposal', 'default: a', 'default: b')
    await change('approval', '"bob"', '"alice"')
    await change('approval', id, '0'.repeat(12))
  })

  test('names the proposals there are for one that is not', async () => {
    const { id } = await propose(folder, given, NOW)
    await expect(approve(folder, 'nothing', person('bob'), NOW)).rejects.toThrow(id)
    expect((await proposals(folder)).map(({ proposal }) => proposal.id)).toEqual([id])
  })
})

describe('names that look like another', () => {
  test.each([
    ['bob', 'bоb', 'another alphabet’s o'],
    ['сосо', 'coco', 'every letter of another alphabet'],
    ['Ivan', 'lvan', 'a small l for a capital I'],
    ['o1iver', 'oliver', 'a digit'],
    ['alice', 'al\u200bice', 'an invisible character'],
    ['alice', '𝐚lice', 'a mathematical letter'],
    ['alice', 'ALICE ', 'case and space'],
  ])('%s and %s (%s) cannot propose and approve', async (author, approver) => {
    const { id } = await propose(folder, { ...given, by: person(author) }, new Date())
    await expect(approve(folder, id, person(approver), new Date())).rejects.toMatchObject({
      code: expect.stringMatching(/^(approval_refused|name_invalid)$/),
    })
    // and an approval file that says so counts for nothing
    await approve(folder, id, person('zed'), new Date())
    const file = join(folder, `${id}.approval.json`)
    const approval = await readFile(file, 'utf8')
    expect((await proposals(folder))[0]!.approval).toBeDefined()
    await writeFile(file, approval.replace('"zed"', JSON.stringify(approver)))
    expect((await proposals(folder))[0]!.approval).toBeUndefined()
  })

  test.each(['bоb', 'alice\u202e', 'аlice', 'Ωmega', 'a\u0007'])(
    'the name %j is refused for its own sake',
    async (name) => {
      await expect(
        propose('nowhere', { ...given, by: person(name) }, new Date()),
      ).rejects.toMatchObject({ code: 'name_invalid' })
    },
  )

  test('names of one script, or of scripts that are written together, are names', () => {
    for (const name of [
      'Иван',
      'Ωμέγα',
      '山田 太郎',
      'やまだ John',
      '김철수',
      'Zoë O’Neil-2',
      'علي',
    ]) {
      expect(nameFault(name), name).toBeUndefined()
    }
    expect(sameName('Anna', 'Anne')).toBe(false)
    expect(sameName('Иван', 'Ivan')).toBe(false)
  })

  test('a FIFO among the proposals is refused instead of waited for', async () => {
    execFileSync('mkfifo', [join(folder, '0123456789ab.proposal.json')])
    await expect(proposals(folder)).rejects.toMatchObject({ code: 'file_unreadable' })
  })
})
