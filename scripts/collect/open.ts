import { CallJournal } from './calls.ts'
import { openChecks } from './checks.ts'
import { type Collection, readCollection } from './collection.ts'
import { readGraders } from './graders.ts'
import { type GradedRow, gradedRows, type HumanLabel, readLabels } from './grades.ts'

/** A collection with everything that is said of its answers. Reads only; a run may be under way. */
export interface OpenedCollection {
  readonly collection: Collection
  readonly rows: readonly GradedRow[]
  readonly labels: readonly HumanLabel[]
  readonly spentUsd: number
}

/** @throws collection_invalid, row_invalid */
export async function openCollection(folder: string): Promise<OpenedCollection> {
  const collection = await readCollection(folder)
  const { judges, checks: texts } = await readGraders(folder)
  const checks = await openChecks(texts, undefined)
  const labels = await readLabels(folder)
  const journal = new CallJournal(folder)
  const rows = await gradedRows(collection, journal, { judges, checks, labels })
  return { collection, rows, labels, spentUsd: journal.spentUsd }
}
