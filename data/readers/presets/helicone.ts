import { definePreset, firstHas } from '../preset.ts'

/**
 * Helicone: requests (`HeliconeRequest`) as its API gives them (`POST /v1/request/query`), page by page or one
 * per line. A score is one of Helicone's scores (`--score-name`), else the user's rating.
 */
export const heliconePreset = definePreset({
  name: 'helicone',
  mapping: {
    rows: 'data|$',
    fields: {
      prompt:
        'request_body.messages|request_body.prompt|request_body.input|llmSchema.request.messages',
      model: 'request_model|response_model|model',
      score: 'scores.*.value|scores.*|feedback_rating',
      cost: 'costUSD|cost',
      tokens: 'completion_tokens',
      timestamp: 'request_created_at',
      user: 'request_user_id',
      session: 'request_properties["Helicone-Session-Id"]|properties["Helicone-Session-Id"]',
      id: 'request_id',
    },
    where: { response_status: 200 },
    on: ['request_id'],
  },
  recognises: (columns, [first]) =>
    firstHas(columns, first?.data)(
      'request_id',
      'request_created_at',
      'request_body',
      'response_status',
    ),
})
