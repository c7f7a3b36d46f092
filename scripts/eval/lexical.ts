import { parseArgs } from 'node:util'
import { pairLabels } from '../../data/pair.ts'
import { apgr, costQualityCurve } from '../../training/evaluate/metrics/curve.ts'
import { sortScores } from '../../training/evaluate/metrics/score-order.ts'
import { fitLexical, LEXICAL_DEFAULTS, type LexicalOptions } from '../../training/lexical/fit.ts'
import { openTerminal, score, table } from '../terminal/terminal.ts'
import { list } from './logs.ts'
import { outOfFoldWinRates } from './out-of-fold.ts'
import { openSet, routerSets } from './router-sets.ts'

/**
 * `npm run eval:lexical`: 5-fold APGR of the classifier on `lexical` at settings around its defaults, one
 * setting changed at a time. The defaults were chosen by it.
 */
const CHANGES: readonly Partial<LexicalOptions>[] = [
  {},
  { minPrompts: 1 },
  { minPrompts: 3 },
  { minPrompts: 5 },
  { maxBuckets: 8192 },
  { maxBuckets: 32_768 },
  { maxBuckets: 131_072 },
  { surfaceWeight: 0 },
  { surfaceWeight: 0.03 },
  { surfaceWeight: 0.3 },
  { surfaceWeight: 1 },
]

const { values } = parseArgs({
  options: { json: { type: 'boolean' }, sets: { type: 'string', default: 'mmlu,gsm8k' } },
})
const terminal = openTerminal()
const { folder, sets } = routerSets(list(values.sets), terminal.note)
const rows: string[][] = [['setting', ...sets.map((set) => set.name)]]
const figures: Record<string, number> = {}
const datasets = await Promise.all(sets.map((set) => openSet(folder, set)))
for (const [step, change] of CHANGES.entries()) {
  const name = Object.entries(change).map(([key, value]) => `${key} ${value}`)[0] ?? 'defaults'
  const row = [name]
  for (const [i, set] of sets.entries()) {
    terminal.onProgress({
      stage: 'settings',
      done: step * sets.length + i,
      total: CHANGES.length * sets.length,
      note: `${name} on ${set.name}`,
    })
    const dataset = datasets[i]!
    const labels = pairLabels(dataset, set.strong, set.weak)
    const winRate = await outOfFoldWinRates(dataset, {
      strong: set.strong,
      weak: set.weak,
      router: 'classifier',
      folds: 5,
      seed: 1,
      fitEncoder: (prompts) => fitLexical({ prompts, options: { ...LEXICAL_DEFAULTS, ...change } }),
    })
    const scores = Array.from(labels.prompt, (prompt) => winRate[prompt]!)
    const gain = Array.from(labels.label, (label) => 2 * label - 1)
    const value = apgr(costQualityCurve(sortScores(scores), gain))
    row.push(score(value))
    figures[`${set.name}: ${name}`] = value
  }
  rows.push(row)
}
terminal.endProgress()
if (values.json) terminal.json({ figures })
else terminal.print(table(rows))
