import { readFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import Type from 'typebox'
import { WeirError } from '../../../core/errors.ts'
import type { EncoderArtifact } from '../encoder.ts'
import { makeHf } from './encoder.ts'
import { type HfFolderOptions, readHfFolder, readJson } from './folder.ts'

/** The graph output of `AutoModelForSequenceClassification`. */
const LOGITS = 'logits'

const ConfigFile = Type.Object({
  architectures: Type.Optional(Type.Union([Type.Array(Type.String()), Type.Null()])),
  id2label: Type.Optional(Type.Record(Type.String(), Type.String())),
  num_labels: Type.Optional(Type.Integer({ minimum: 1 })),
  problem_type: Type.Optional(
    Type.Union([
      Type.Literal('single_label_classification'),
      Type.Literal('multi_label_classification'),
      Type.Literal('regression'),
      Type.Null(),
    ]),
  ),
})

/** What `config.json` says of a classifier's outputs. */
export type ProblemType =
  | 'single_label_classification'
  | 'multi_label_classification'
  | 'regression'

export interface HfClassifier {
  /** its rows are the logits */
  readonly artifact: EncoderArtifact
  /** the names of the outputs, in their order: `LABEL_0`, ... where the configuration has none */
  readonly labels: readonly string[]
  /** one output without a `problem_type` is a regression, as in transformers */
  readonly problem: ProblemType
}

/**
 * A sequence classifier exported to ONNX in the Hugging Face layout (`optimum-cli export onnx --task
 * text-classification`): the encoder `hf` with the graph's logits as its rows.
 *
 * @throws file_not_found, encoder_files_invalid (expected what, where, and what came), onnx_failed
 */
export async function makeHfClassifier(
  folder: string,
  options: HfFolderOptions & { readonly threads?: number } = {},
): Promise<HfClassifier> {
  const entry = await stat(folder).catch(() => undefined)
  if (!entry) throw new WeirError('file_not_found', { path: folder })
  const invalid = (expected: string, path: string, got: unknown): WeirError =>
    new WeirError('encoder_files_invalid', { expected, path, got })
  if (!entry.isDirectory()) {
    throw invalid('a folder with config.json, tokenizer.json and an ONNX graph', folder, 'a file')
  }
  const configPath = join(folder, 'config.json')
  const config = await readJson(folder, 'config.json', ConfigFile)
  if (!config) throw new WeirError('file_not_found', { path: configPath })
  const architecture = config.architectures?.[0]
  if (architecture && !/ForSequenceClassification$/.test(architecture)) {
    throw invalid('architectures: a ...ForSequenceClassification', configPath, architecture)
  }
  const { modelPath, model } = await readHfFolder(folder, options)
  await refuseOutsideData(modelPath, model)
  const artifact = await makeHf(folder, { ...options, output: LOGITS })
  const { dimension } = artifact.encoder.spec
  try {
    const named = Object.keys(config.id2label ?? {}).length || config.num_labels
    if (named !== undefined && named !== dimension) {
      throw invalid(`id2label: ${dimension} labels, one per output of the graph`, configPath, named)
    }
    const labels = Array.from({ length: dimension }, (_, k) => {
      const label = config.id2label ? config.id2label[String(k)] : `LABEL_${k}`
      if (label === undefined) throw invalid(`id2label: a label "${k}"`, configPath, 'none')
      return label
    })
    const problem =
      config.problem_type ?? (dimension === 1 ? 'regression' : 'single_label_classification')
    if (problem === 'regression' && dimension > 1) {
      throw invalid('one output for problem_type regression', configPath, `${dimension} labels`)
    }
    return { artifact, labels, problem }
  } catch (error) {
    await artifact.encoder.close?.()
    throw error
  }
}

/** A graph whose weights lie beside it cannot be carried in one file of a bundle. */
async function refuseOutsideData(path: string, model: Uint8Array): Promise<void> {
  for (const name of [`${path}_data`, `${path}.data`]) {
    const beside = await stat(name).catch(() => undefined)
    if (!beside) continue
    const file = name.slice(dirname(name).length + 1)
    // a file left from another export is not named in the graph
    if (!Buffer.from(model.buffer, model.byteOffset, model.length).includes(file)) continue
    throw new WeirError('encoder_files_invalid', {
      expected: 'a graph with its weights in one file (under 2 GB; quantise a larger one)',
      path,
      got: `weights in ${file} beside it`,
    })
  }
}

/** A row of a file of golden outputs: what the model gives in Python for a text. */
export interface GoldenRow {
  readonly line: number
  readonly text: string
  readonly logits: readonly number[]
}

/**
 * Reads golden outputs, JSON lines of `{"text": ..., "logits": [...]}`.
 *
 * @throws file_not_found, file_unreadable, encoder_files_invalid (with the line)
 */
export async function readGolden(path: string, outputs: number): Promise<GoldenRow[]> {
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new WeirError('file_not_found', { path }, { cause })
    throw new WeirError('file_unreadable', { path, reason: cause.code }, { cause })
  })
  const rows: GoldenRow[] = []
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    rows.push(goldenRow(line, i + 1, path, outputs))
  }
  if (rows.length > 0) return rows
  throw new WeirError('encoder_files_invalid', { expected: 'golden outputs', path, got: 'no line' })
}

function goldenRow(line: string, number: number, path: string, outputs: number): GoldenRow {
  const refuse = (got: unknown): never => {
    const expected = `{"text": "...", "logits": [${outputs} numbers]}`
    throw new WeirError('encoder_files_invalid', { expected, path: `${path}:${number}`, got })
  }
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch {
    return refuse(line.slice(0, 80))
  }
  const { text, logits } = (value ?? {}) as { text?: unknown; logits?: unknown }
  if (typeof text !== 'string') return refuse('no text')
  if (!Array.isArray(logits) || logits.length !== outputs) {
    return refuse(Array.isArray(logits) ? `${logits.length} logits` : 'no list of logits')
  }
  const found = logits.find((logit) => typeof logit !== 'number' || !Number.isFinite(logit))
  if (found !== undefined) return refuse(`the logit ${JSON.stringify(found)}`)
  return { line: number, text, logits: logits as number[] }
}
