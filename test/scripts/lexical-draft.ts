import { encodeHead } from '../../models/bundle/head-file.ts'
import { linearGraph } from '../../models/families/linear-graph.ts'
import type { LinearHead } from '../../models/families/linear-head.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { fitLexical } from '../../training/lexical/fit.ts'
import { sampleDraft } from '../models/sample-bundle.ts'

/** A bundle whose encoder the command can load by itself. */
export async function lexicalDraft(threshold: number) {
  const prompts = Array.from(
    { length: 60 },
    (_, i) => `${i % 2 ? 'prove theorem' : 'say hello'} ${i}`,
  )
  const { encoder, files } = await fitLexical({ prompts })
  const { dimension } = encoder.spec
  const head: LinearHead = {
    link: 'pair',
    outputs: 1,
    dimension,
    weights: new Float32Array(dimension).fill(0.1),
    bias: Float32Array.of(0.2),
    strong: 0,
    weak: 1,
  }
  const draft = sampleDraft({ name: 'cli', threshold })
  return {
    files: new Map([
      ...draft.files,
      ...files,
      ['head.bin', encodeHead(head)],
      ['router.onnx', encodeOnnx(linearGraph(head, { kind: encoder.spec.output, dimension }))],
    ]),
    manifest: {
      ...draft.manifest,
      encoder: encoder.spec,
      head: { link: 'pair' as const, outputs: 1, dimension },
    },
  }
}
