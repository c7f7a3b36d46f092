import { mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  checkConfigSettings,
  readTrainConfig,
  type TrainFlags,
  trainConfigText,
  withConfig,
} from '../../scripts/cli/train-options.ts'

import { TRAINERS } from '../../training/trainers/registry.ts'

const FLAGS: TrainFlags = {
  router: 'classifier',
  encoder: 'lexical',
  engine: 'onnx',
  out: 'bundles',
  name: 'router',
  seed: 1,
  threads: 2,
  maxRejects: 0.01,
  set: [],
  judgeWeight: [],
  efforts: [],
  price: [],
  map: [],
  where: [],
}

async function file(text: string, name = 'train.yaml'): Promise<string> {
  const path = join(await mkdtemp(join(tmpdir(), 'weir-config-')), name)
  await writeFile(path, text)
  return path
}

describe('weir train --config', () => {
  it('puts the file under the flags: what was typed wins, maps are joined by name', async () => {
    const read = await readTrainConfig(
      await file(`
router: mf
seed: 9
strong: big
keep_text: true
score_range: 1-10
settings: {rank: 64, form: success}
prices: {big: 10/30}
judge_weights: {gpt-4: 0.5}
`),
    )
    const flags = { ...FLAGS, seed: 3, set: ['rank=32'] }
    expect(withConfig(flags, read, (flag) => flag === 'seed')).toEqual({
      ...FLAGS,
      router: 'mf',
      seed: 3,
      strong: 'big',
      keepText: true,
      scoreRange: '1-10',
      // the later of two wins
      set: ['rank=64', 'form=success', 'rank=32'],
      price: ['big=10/30'],
      judgeWeight: ['gpt-4=0.5'],
    })
  })

  it('reads JSON as well', async () => {
    const path = await file('{"router": "mlp", "settings": {"hidden": 8}}', 'train.json')
    expect((await readTrainConfig(path)).config).toEqual({ router: 'mlp', settings: { hidden: 8 } })
  })

  it.each([
    [
      'a key it does not know',
      'router: mf\nstrnog: big',
      /train\.yaml:2: strnog: expected one of logs, strong/,
    ],
    [
      'a value of another kind',
      'router: mf\n\nseed: soon',
      /train\.yaml:3: seed: expected integer, got "soon"/,
    ],
    ['a list', '- router', /train\.yaml:1: expected/],
    ['what is no YAML', 'router: [', /train\.yaml:1: expected a training config in YAML or JSON/],
  ])('refuses %s, with the line', async (_, text, message) => {
    await expect(readTrainConfig(await file(text))).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(message),
    })
  })

  it.each([
    ['rnak: 4', /train\.yaml:3: settings\.rnak: expected one of form, rank, .*, got rnak/],
    [
      'rank: 1.5',
      /train\.yaml:3: settings\.rank: expected a whole number from 1 to 4096, got 1\.5/,
    ],
    ['form: best', /train\.yaml:3: settings\.form: expected pairwise or success, got "best"/],
    ['learning_rate: 0', /expected a number above 0, at most 1, got 0/],
  ])('refuses a setting of the family such as %s, with the line', async (line, message) => {
    const read = await readTrainConfig(await file(`router: mf\nsettings:\n  ${line}`))
    await expect(checkConfigSettings(read, 'mf')).rejects.toMatchObject({
      code: 'config_invalid',
      message: expect.stringMatching(message),
    })
  })

  it('says which file is not there', async () => {
    await expect(readTrainConfig('/nowhere/train.yaml')).rejects.toMatchObject({
      code: 'file_not_found',
    })
  })
})

describe('weir train --print-config', () => {
  it.each(Object.keys(TRAINERS))(
    'prints what --config reads back the same, for %s',
    async (router) => {
      const flags = { ...FLAGS, router, strong: 'big', weak: 'sm"all', price: ['a=b=1/2'] }
      const text = await trainConfigText(['a.jsonl'], flags, {})
      const read = await readTrainConfig(await file(text))
      await checkConfigSettings(read, router)
      const { config } = read
      expect(config).toMatchObject({
        router,
        weak: 'sm"all',
        logs: ['a.jsonl'],
        prices: { 'a=b': '1/2' },
      })
      const again = await trainConfigText(config.logs!, flags, config.settings!)
      expect(again).toBe(text)
      // a sentence above each setting
      for (const name of Object.keys(config.settings!)) {
        expect(text).toMatch(new RegExp(`  # .{15,}\\n  ${name}: `))
      }
    },
  )
})
