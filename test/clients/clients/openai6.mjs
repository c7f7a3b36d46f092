import OpenAI from 'openai6'
import { openAiCases } from '../openai-cases.mjs'

export const cases = (options) =>
  openAiCases(
    new OpenAI({ apiKey: options.apiKey, baseURL: options.baseURL, maxRetries: 0 }),
    options,
  )
