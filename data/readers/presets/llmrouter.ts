import { definePreset } from '../preset.ts'

/** LLMRouter (ulab-uiuc): `default_routing_train_data.jsonl`, one line per query and model. */
export const llmRouterPreset = definePreset({
  name: 'llmrouter',
  mapping: {
    fields: {
      prompt: 'query',
      model: 'model_name',
      score: 'performance',
      tokens: 'output_tokens',
      category: 'task_name',
      user: 'user_id',
    },
  },
  recognises: (columns) =>
    ['query', 'model_name', 'performance', 'embedding_id', 'task_name'].every((name) =>
      columns.has(name),
    ),
})
