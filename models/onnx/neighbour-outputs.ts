/**
 * Outputs of a graph whose head asks training rows, [n, rows] each, float64: their cosines and what they
 * count. Nobody but `explain` fetches them; they cost scoring nothing, as it needs the values anyway.
 */
export const NEIGHBOUR_OUTPUTS = {
  similarity: 'neighbour_similarity',
  weight: 'neighbour_weight',
} as const
