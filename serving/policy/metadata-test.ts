import Type from 'typebox'

const Scalar = Type.Union([Type.String(), Type.Number(), Type.Boolean(), Type.Null()])
const Scalars = Type.Union([Scalar, Type.Array(Scalar, { minItems: 1 })])

/** What a field of the metadata must be: a value, one of a list, or what all of these say. */
export const MetadataTest = Type.Union([
  Scalars,
  Type.Object(
    {
      gt: Type.Optional(Type.Number()),
      gte: Type.Optional(Type.Number()),
      lt: Type.Optional(Type.Number()),
      lte: Type.Optional(Type.Number()),
      /** none of these; a field that is not there is none of them */
      not: Type.Optional(Scalars),
      exists: Type.Optional(Type.Boolean()),
    },
    { additionalProperties: false, minProperties: 1 },
  ),
])
export type MetadataTest = Type.Static<typeof MetadataTest>

/** Whether the field as the request has it passes; of a list in the request, one entry is enough. */
export function passesTest(test: MetadataTest, given: unknown): boolean {
  if (typeof test !== 'object' || test === null || Array.isArray(test)) return isOneOf(test, given)
  const { gt, gte, lt, lte, not, exists } = test
  const bounded = gt !== undefined || gte !== undefined || lt !== undefined || lte !== undefined
  // a number in quotes is no number
  if (bounded && typeof given !== 'number') return false
  const number = given as number
  return (
    (gt === undefined || number > gt) &&
    (gte === undefined || number >= gte) &&
    (lt === undefined || number < lt) &&
    (lte === undefined || number <= lte) &&
    (not === undefined || !isOneOf(not, given)) &&
    (exists === undefined || exists === (given !== undefined))
  )
}

function isOneOf(wanted: Type.Static<typeof Scalars>, given: unknown): boolean {
  const all: unknown[] = Array.isArray(wanted) ? wanted : [wanted]
  return Array.isArray(given) ? given.some((one) => all.includes(one)) : all.includes(given)
}
