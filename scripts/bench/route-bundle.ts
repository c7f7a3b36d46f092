import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { createRandom } from '../../core/random.ts'
import { encodeHead } from '../../models/bundle/head-file.ts'
import { writeBundle } from '../../models/bundle/write.ts'
import type { EncoderArtifact } from '../../models/encoders/encoder.ts'
import { classifier } from '../../models/families/classifier.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { fitLexical } from '../../training/lexical/fit.ts'

/** The sample's prompts, some joined to have about this many characters. */
export function benchPrompts(characters: number, limit: number): string[] {
  const file = join(import.meta.dirname, '../../data/sample/outcomes.jsonl.gz')
  const rows = gunzipSync(readFileSync(file)).toString('utf8').trimEnd().split('\n')
  const prompts: string[] = []
  let joined = ''
  for (const row of rows) {
    const { prompt } = JSON.parse(row) as { prompt: string }
    joined = joined ? `${joined}\n\n${prompt}` : prompt
    if (joined.length < characters * 0.8) continue
    prompts.push(joined.slice(0, characters * 1.2))
    joined = ''
    if (prompts.length === limit) break
  }
  return prompts
}

/**
 * A bundle to serve: the encoder (by default lexical, fitted on the sample) and a success head with seeded
 * weights.
 */
export async function writeRouteBundle(
  root: string,
  given?: EncoderArtifact,
  threshold = 0.5,
): Promise<string> {
  const { encoder, files } = given ?? (await fitLexical({ prompts: benchPrompts(1, 5000) }))
  const { dimension } = encoder.spec
  const random = createRandom(7)
  const weights = {
    models: ['big-1', 'small-1'],
    tensors: {
      weights: {
        shape: [dimension, 2],
        values: Float32Array.from({ length: dimension * 2 }, () => random.normal()),
      },
      bias: { shape: [2], values: Float32Array.of(0.5, 0) },
    },
  }
  const pair = { strong: 0, weak: 1 }
  const { path } = await writeBundle(root, {
    files: new Map([
      ...files,
      ['head.bin', encodeHead(classifier.fold!(weights, pair))],
      [
        'router.onnx',
        encodeOnnx(classifier.graph(weights, pair, { kind: encoder.spec.output, dimension })),
      ],
    ]),
    manifest: {
      name: given ? 'bench-given' : 'bench',
      encoder: encoder.spec,
      family: { name: 'classifier', hyperparameters: {} },
      candidates: [
        { model: 'big-1', role: 'strong', price: { input: 10, output: 30 }, output_tokens: 240 },
        { model: 'small-1', role: 'weak', price: { input: 0.6, output: 0.6 }, output_tokens: 240 },
      ],
      head: { link: 'success', outputs: 2, dimension },
      calibration: { method: 'identity' },
      threshold: { value: threshold, source: 'default' },
      data: { sources: [], split: { seed: 0, fractions: {}, prefixes: [] }, counts: {} },
      metrics: {},
      libraries: {},
    },
  })
  return path
}
