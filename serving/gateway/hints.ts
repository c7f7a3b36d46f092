import Type from 'typebox'

/** The body's `weir` object: what the client says of routing. Never goes upstream. */
export const RequestHints = Type.Object(
  {
    threshold: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    session_id: Type.Optional(Type.String()),
    previous_model: Type.Optional(Type.String()),
    models: Type.Optional(Type.Array(Type.String(), { minItems: 1, description: 'allow-list' })),
    deadline_ms: Type.Optional(Type.Number({ minimum: 1, maximum: 2_147_483_647 })),
    max_latency_ms: Type.Optional(Type.Number({ minimum: 1 })),
    metadata: Type.Optional(Type.Record(Type.String(), Type.Unknown())),
    explain: Type.Optional(
      Type.Boolean({ description: 'say in x-weir-steps what each step of the policy said' }),
    ),
  },
  { additionalProperties: false },
)
