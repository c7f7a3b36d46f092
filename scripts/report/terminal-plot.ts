import type { EvaluationReport } from '../../training/evaluate/report.ts'

const WIDTH = 61
const HEIGHT = 13

/** PGR against strong share in plain characters: a letter a router, dots for random. Empty without chart data. */
export function plotCurves(report: EvaluationReport): string[] {
  const routers = report.routers.filter(({ chart }) => chart).slice(0, 5)
  if (!report.quality.clear || routers.length === 0) return []
  const grid = Array.from({ length: HEIGHT }, () => new Array<string>(WIDTH).fill(' '))
  const put = (share: number, pgr: number, mark: string): void => {
    const row = Math.round((1 - pgr) * (HEIGHT - 1))
    const line = grid[row]
    const column = Math.round(share * (WIDTH - 1))
    const there = line?.[column]
    if (line) line[column] = there === ' ' || there === '.' || there === mark ? mark : '#'
  }
  for (let column = 0; column < WIDTH; column += 2) {
    put(column / (WIDTH - 1), column / (WIDTH - 1), '.')
  }
  routers.forEach((router, i) => {
    const { value } = router.chart!.band
    for (let step = 0; step < value.length; step++) {
      put(step / (value.length - 1), value[step]!, letter(i))
    }
  })
  const label = (row: number): string =>
    row === 0 ? '1.0' : row === HEIGHT - 1 ? '0.0' : row === (HEIGHT - 1) / 2 ? '0.5' : '   '
  return [
    'PGR',
    ...grid.map((line, row) => `${label(row)} |${line.join('').trimEnd()}`),
    `    +${'-'.repeat(WIDTH)}`,
    `    0%${'strong share'.padStart(WIDTH / 2 + 4)}${'100%'.padStart(WIDTH / 2 - 5)}`,
    `    ${routers.map(({ name }, i) => `${letter(i)} ${name}`).join('   ')}${routers.length > 1 ? '   # several' : ''}   . random`,
  ]
}

const letter = (i: number): string => 'abcde'[i]!
