import instructor from '@instructor-ai/instructor'
import OpenAI from 'openai6'
import { z } from 'zod3'

const schema = z.object({ city: z.string(), days: z.number() })

export function cases({ baseURL, apiKey, model }) {
  const make = instructor.default ?? instructor
  const ask = (mode, content) =>
    make({ client: new OpenAI({ apiKey, baseURL, maxRetries: 0 }), mode }).chat.completions.create({
      model,
      messages: [{ role: 'user', content }],
      response_model: { schema, name: 'Stay' },
      max_retries: 0,
    })
  return {
    'by tool': () => ask('TOOLS', 'hi'),
    'by JSON mode': () => ask('JSON', 'hi'),
    'by schema': () => ask('JSON_SCHEMA', 'hi'),
    'fails with 400': () => ask('TOOLS', 'fail 400'),
  }
}
