import { between, fill, pick, several, unit } from '../draw.ts'
import type { Family } from '../family.ts'
import { phrases, words } from '../lists.ts'
import { CITIES, MONTHS } from '../vocabulary.ts'

const TABLES = words(`
  customers orders payments visits tickets employees flights parcels sensors lessons members loans
  shipments recipes
`)
const COLUMNS = words(`
  city status amount created_at owner_id rating weight country due_on price
`)
const EASY = phrases(`
  lists all {table} from {city} | counts the {table} created in {month} |
  shows the {n} newest {table} | gives the average {column} of {table} |
  finds {table} where {column} is null | sorts {table} by {column} |
  deletes {table} older than {n} days | adds a {column} column to {table}
`)
const HARD = [
  'finds gaps and islands in the {column} of {table} per {column}',
  'computes a rolling {n}-day median of {column} over {table} with a window frame',
  'walks the recursive hierarchy of {table} and aggregates {column} bottom-up',
  'pivots {table} by {month} and {column} without knowing the values in advance',
  'joins {table} to {table} as of the latest {column} before each event',
  'sessionises {table} with a {n}-minute timeout and ranks sessions by {column}',
  'detects {table} whose {column} breaks a bitemporal constraint against {table}',
]
const ASKED = phrases(`
  Write a SQL query that {task}. | SQL that {task}, please |
  How would I write a query which {task}? | Postgres: I want one statement that {task}. |
  Give me a view that {task} | For our {table} database, a query that {task}? |
  Show the SQL. It {task}. | Need a report that {task}.
`)
const EXTRAS = [
  'It must use no subquery in the FROM clause.',
  'It has to stay under a second on 400 million rows; justify the index.',
  'Make it correct under concurrent updates.',
  'Ties share a rank and nulls sort last within each partition.',
]

/** Difficulty: one table and a filter, or windows and recursion, and the demands on top. */
export const queries: Family = {
  name: 'queries',
  skill: { strong: 0.88, weak: 0.38 },
  draw(random) {
    const hard = random.next() < 0.45
    const extras = hard ? random.int(4) : 0
    const slots = {
      table: TABLES,
      column: COLUMNS,
      city: CITIES,
      month: MONTHS,
      n: String(between(random, 2, 90)),
    }
    const task = fill(random, pick(random, hard ? HARD : EASY), slots)
    return {
      prompt: [
        fill(random, pick(random, ASKED), { ...slots, task }),
        ...several(random, EXTRAS, extras),
      ].join(' '),
      difficulty: unit((hard ? 0.5 : 0.06) + 0.13 * extras),
      answerTokens: hard ? 180 + 40 * extras : 50,
    }
  },
}
