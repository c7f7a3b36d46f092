import promptfoo from 'promptfoo'

export function cases({ baseURL, apiKey, model }) {
  const evaluate = async (prompt) => {
    const provider = {
      id: `openai:chat:${model}`,
      config: { apiBaseUrl: baseURL, apiKey, temperature: 0, max_tokens: 50 },
    }
    const suite = {
      prompts: [prompt],
      providers: [provider],
      tests: [{ assert: [{ type: 'contains', value: 'Hello' }] }],
      writeLatestResults: false,
    }
    const evaluation = await promptfoo.evaluate(suite, { maxConcurrency: 1, cache: false })
    const { results } = await evaluation.toEvaluateSummary()
    return results.map(({ response, success, tokenUsage }) => [
      response?.output,
      response?.tokenUsage,
      success,
      tokenUsage,
    ])
  }
  return {
    plain: () => evaluate('hi'),
    'an error is a result': async () =>
      (await evaluate('fail 400')).map(([, , success]) => success),
  }
}
