import { expect, it } from 'vitest'
import { renderMenu } from '../../../scripts/report/menu-report.ts'
import { simulate } from '../../../testing/simulated-rows.ts'
import { targetMenu } from '../../../training/calibrate/menu.ts'

it('the target table’s page has a line a threshold, its bound, and no text that becomes markup', () => {
  const rows = simulate({ rows: 600, seed: 4 })
  const menu = targetMenu(rows, 0.9, 1)
  const page = renderMenu('<b>demo</b>', menu, {
    rows,
    reference: undefined,
    probability: undefined,
    costBasis: undefined,
    map: { method: 'identity' },
    hashes: [],
    data: { sources: [], sha256: '', left_out: {} },
  })
  expect(page.match(/<tr><td>/g)).toHaveLength(menu.rows.length)
  expect(page).toContain(menu.rows[3]!.lossBound!.toFixed(3))
  expect(page).not.toContain('<b>demo')
})
