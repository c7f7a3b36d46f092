import { readFile } from 'node:fs/promises'
import { expect, it } from 'vitest'
import { explainPolicy } from '../../scripts/cli/explain-policy.ts'
import { checkPolicy } from '../../serving/policy/check.ts'
import { requestOf } from '../../testing/step-contract.ts'

const explain = async (example: string, text: string, bundle?: string) => {
  const path = `docs/examples/${example}.yaml`
  return explainPolicy(checkPolicy(await readFile(path, 'utf8'), path), requestOf({ text }), {
    ...(bundle && { bundle }),
  })
}

it('weir policy explain tells languages, and asks no model', async () => {
  const german = await explain('rules', 'Bitte erkläre mir, warum der Himmel am Abend so rot ist.')
  expect(german.deciding).toMatchObject({ step: 'rule', name: 'german' })
  const asked = await explain('decide-by-model', 'my loop never ends')
  expect(asked.steps).toContainEqual({
    step: 'decide_by_model',
    matched: false,
    reason: 'model_failed',
  })
  expect(asked.deciding.step).toBe('default')
})

it('weir policy explain passes the learned step without a bundle, and refuses one that is not there', async () => {
  const plan = await explain('learned', 'hello')
  expect(plan.steps).toContainEqual({ step: 'learned', matched: false, reason: 'no_router' })
  await expect(explain('learned', 'hello', 'bundles/that-is-not-there')).rejects.toMatchObject({
    code: 'file_not_found',
  })
})
