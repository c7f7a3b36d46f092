import { arithmetic } from './families/arithmetic.ts'
import { chat } from './families/chat.ts'
import { classification } from './families/classification.ts'
import { code } from './families/code.ts'
import { debugging } from './families/debugging.ts'
import { extraction } from './families/extraction.ts'
import { facts } from './families/facts.ts'
import { maths } from './families/maths.ts'
import { planning } from './families/planning.ts'
import { queries } from './families/queries.ts'
import { reasoning } from './families/reasoning.ts'
import { rewriting } from './families/rewriting.ts'
import { summarising } from './families/summarising.ts'
import { translation } from './families/translation.ts'
import type { Family } from './family.ts'

/** All families are drawn equally often. */
export const FAMILIES: readonly Family[] = [
  arithmetic,
  chat,
  classification,
  code,
  debugging,
  extraction,
  facts,
  maths,
  planning,
  queries,
  reasoning,
  rewriting,
  summarising,
  translation,
]
