import { definePreset } from '../preset.ts'

/**
 * LiteLLM: the proxy's table `LiteLLM_SpendLogs` (its API, or exported from PostgreSQL), or the
 * `StandardLoggingPayload` that its callbacks write. It holds no scores: they are joined with `--scores`. The
 * table holds prompts only if the proxy is set to `store_prompts_in_spend_logs`.
 */
export const litellmPreset = definePreset({
  name: 'litellm',
  mapping: {
    fields: {
      // `messages` of the table is {} unless the prompt is only there
      prompt: 'proxy_server_request.messages|proxy_server_request.input|messages',
      model: 'model|model_group',
      cost: 'spend|response_cost',
      tokens: 'completion_tokens',
      timestamp: 'startTime',
      category: 'request_tags[0]',
      session: 'session_id|trace_id',
      user: 'end_user|user',
      id: 'request_id|id',
    },
    except: {
      status: 'failure',
      call_type: [
        'embedding',
        'aembedding',
        'image_generation',
        'aimage_generation',
        'rerank',
        'arerank',
      ],
    },
    on: ['request_id', 'id', 'trace_id', 'session_id'],
  },
  recognises: (columns) =>
    ['call_type', 'model', 'startTime', 'completion_tokens'].every((name) => columns.has(name)) &&
    ((columns.has('spend') && columns.has('request_id')) || columns.has('response_cost')),
})
