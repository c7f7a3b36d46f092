/**
 * `weir-router/router`: decisions in your own process, in microseconds.
 *
 *     node examples/router.ts BUNDLE PROMPT
 */
import { loadRouter } from 'weir-router/router'

const [bundle = 'bundles/example', prompt = 'Say hello in French'] = process.argv.slice(2)

const router = await loadRouter(bundle)
try {
  const { model, win_rate, threshold } = await router.route({ prompt })
  console.log(`${model}: the strong model wins with ${win_rate} (threshold ${threshold})`)

  // a model that must not be used is left out of the candidates
  const kept = await router.route({ prompt, models: [model] })
  console.log(`allowed ${model} only: ${kept.model}`)
} finally {
  await router.close()
}
