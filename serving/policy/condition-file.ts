import Type from 'typebox'
import { MetadataTest } from './metadata-test.ts'

const Words = Type.Array(Type.String({ minLength: 1 }), { minItems: 1 })
const closed = { additionalProperties: false } as const

/** What a rule asks of a request: every field that is given must hold. */
export const Condition = Type.Object(
  {
    /** whole words or phrases of the last user message, in any case; one is enough */
    keywords: Type.Optional(Words),
    /** RE2 patterns searched in the last user message, in linear time; one is enough */
    regex: Type.Optional(Words),
    /** `metadata` of the request: the value, one of a list, or `{gt, gte, lt, lte, not, exists}` */
    metadata: Type.Optional(Type.Record(Type.String(), MetadataTest)),
    /** one of the request's tags (`metadata.tags`, or the header x-weir-tags) */
    tags: Type.Optional(Words),
    /** the tier of the key, from `keys` */
    tier: Type.Optional(Words),
    /** names of API keys */
    key: Type.Optional(Words),
    /** of the whole conversation */
    characters: Type.Optional(
      Type.Object(
        {
          min: Type.Optional(Type.Integer({ minimum: 0 })),
          max: Type.Optional(Type.Integer({ minimum: 0 })),
        },
        closed,
      ),
    ),
    tools: Type.Optional(Type.Boolean()),
    images: Type.Optional(Type.Boolean()),
    /** ISO 639-1 codes of the last user message's language, where it is long enough to tell */
    language: Type.Optional(Words),
    /** of those that all else holds for: by session, else key, else request, always the same ones */
    percent: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: 100 })),
  },
  { ...closed, minProperties: 1 },
)
export type Condition = Type.Static<typeof Condition>
