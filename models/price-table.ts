import { readFile } from 'node:fs/promises'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from './errors.ts'
import { Price } from './prices.ts'
import { firstFault } from './schema-fault.ts'

/** A price file: JSON, each model's US dollars per million tokens. */
const PriceFile = Type.Record(Type.String({ minLength: 1 }), Price)

const check = Compile(PriceFile)

/** @throws file_not_found, config_invalid with the model and field at fault */
export async function readPrices(path: string): Promise<Map<string, Price>> {
  const text = await readFile(path, 'utf8').catch((cause: unknown) => {
    throw new WeirError('file_not_found', { path }, { cause })
  })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    const got = (cause as Error).message
    throw new WeirError('config_invalid', { where: path, expected: 'JSON', got }, { cause })
  }
  if (check.Check(value)) return new Map(Object.entries(value))
  const { field, expected, got } = firstFault(check.Errors(value), value)
  throw new WeirError('config_invalid', { where: `${path}: ${field}`, expected, got })
}
