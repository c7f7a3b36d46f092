import type { ModelPair } from '../../models/bundle/with-pair.ts'

/** What others have published for a pair of models. */
export interface PublishedPoint {
  readonly label: string
  readonly share: number
  readonly pgr: number
}

/** Best router of Ong et al. 2024 (arXiv 2406.18665, tables 1 to 3): CPT(50%) and CPT(80%) a benchmark. */
const ROUTE_LLM: readonly PublishedPoint[] = [
  { label: 'MT-Bench', share: 0.134, pgr: 0.5 },
  { label: 'MT-Bench', share: 0.313, pgr: 0.8 },
  { label: 'MMLU', share: 0.354, pgr: 0.5 },
  { label: 'MMLU', share: 0.716, pgr: 0.8 },
  { label: 'GSM8K', share: 0.336, pgr: 0.5 },
  { label: 'GSM8K', share: 0.633, pgr: 0.8 },
]

/** Points for the same two models, on whichever prompts they were published for. */
export function publishedPoints(pair: ModelPair | null): readonly PublishedPoint[] {
  if (!pair) return []
  const same = /gpt-4-1106/i.test(pair.strong) && /mixtral-8x7b/i.test(pair.weak)
  return same ? ROUTE_LLM : []
}
