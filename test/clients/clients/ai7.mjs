import * as ai from 'ai7'
import { createOpenAI } from 'ai7-openai'
import { aiSdkCases } from '../ai-sdk-cases.mjs'

export const cases = (options) =>
  aiSdkCases(ai, createOpenAI({ apiKey: options.apiKey, baseURL: options.baseURL }), options)
