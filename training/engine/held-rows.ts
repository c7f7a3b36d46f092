import { INPUT } from './batch-loss.ts'
import type { FitRows } from './engine.ts'
import type { SessionClient, WireTensor } from './session-client.ts'

/** Graph input -> the name under which the worker holds its values. */
export type HeldInputs = Readonly<Record<string, string>>

/**
 * Sends columns and tables to the worker, a table that several sets share only once.
 *
 * @param consume moves the tables' memory instead of copying it
 */
export async function holdRows<Name extends string>(
  client: SessionClient,
  sets: Readonly<Record<Name, FitRows>>,
  consume = false,
): Promise<Record<Name, HeldInputs>> {
  const tables = new Map<Float32Array, string>()
  const held: [string, HeldInputs][] = []
  for (const [set, rows] of Object.entries<FitRows>(sets)) {
    const inputs: Record<string, string> = {}
    const hold = async (input: string, tensor: WireTensor, moved = false): Promise<void> => {
      inputs[input] = `${set} ${input}`
      await client.keep(`${set} ${input}`, tensor, moved)
    }
    for (const [name, values] of Object.entries(rows.columns)) {
      await hold(INPUT.column(name), { shape: [rows.rows], values })
    }
    for (const [name, { table, index }] of Object.entries(rows.lookups)) {
      await hold(INPUT.index(name), { shape: [rows.rows], values: index })
      const known = tables.get(table.values)
      if (known !== undefined) inputs[INPUT.table(name)] = known
      else {
        await hold(INPUT.table(name), table, consume)
        tables.set(table.values, inputs[INPUT.table(name)]!)
      }
    }
    held.push([set, inputs])
  }
  return Object.fromEntries(held) as Record<Name, HeldInputs>
}
