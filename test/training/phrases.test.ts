import { expect, it } from 'vitest'
import { SPLITS } from '../../data/dataset/dataset.ts'
import { readLogs } from '../../data/ingest.ts'
import { framed, textOf } from '../../models/encoders/context.ts'
import { withPhrases } from '../../training/phrases.ts'
import { writeSmallLog } from './small-log.ts'

it('phrases stand around half of the train prompts, and no others', async () => {
  const log = await readLogs([await writeSmallLog(400, 9)], { seed: 1 })
  const dataset = { ...log, prompts: log.prompts.map((prompt) => framed(['gold'], prompt)) }
  const { prompts, split } = withPhrases(dataset, 3)
  const changed = [...prompts.keys()].filter((row) => prompts[row] !== dataset.prompts[row])
  expect(new Set(changed.map((row) => SPLITS[split[row]!]))).toEqual(new Set(['train']))
  const train = split.filter((of) => SPLITS[of] === 'train').length
  expect(changed.length / train).toBeGreaterThan(0.4)
  expect(changed.length / train).toBeLessThan(0.6)
  for (const row of changed) {
    const text = textOf(dataset.prompts[row]!)
    const said = textOf(prompts[row]!)
    // the fields before the text stay, and a phrase stands in a paragraph of its own
    expect(prompts[row]).toBe(framed(['gold'], said))
    expect(said.startsWith(`${text}\n\n`) || said.endsWith(`\n\n${text}`)).toBe(true)
  }
  expect(withPhrases(dataset, 3).prompts).toEqual(prompts)
  expect(withPhrases(dataset, 4).prompts).not.toEqual(prompts)
})
