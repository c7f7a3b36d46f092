import * as ai from 'ai6'
import { createOpenAI } from 'ai6-openai'
import { aiSdkCases } from '../ai-sdk-cases.mjs'

export const cases = (options) =>
  aiSdkCases(ai, createOpenAI({ apiKey: options.apiKey, baseURL: options.baseURL }), options)
