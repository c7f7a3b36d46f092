import { randomUUID } from 'node:crypto'
import { definedOnly } from '../core/defined.ts'
import { WeirError } from '../core/errors.ts'
import { promptHash } from '../core/hash.ts'
import type { NeighbourWeights } from './bundle/graph-head.ts'
import { describeObservational, type Manifest } from './bundle/manifest.ts'
import {
  decodeNeighbours,
  decodeNeighbourTexts,
  NEIGHBOURS_FILE,
  NEIGHBOURS_TEXT_FILE,
} from './bundle/neighbours-file.ts'
import type { OodRule } from './bundle/ood-rule.ts'
import { type Bundle, ROUTER_FILE, readBundle } from './bundle/read.ts'
import { type ModelPair, withPair } from './bundle/with-pair.ts'
import { type CalibrationMap, calibrate } from './calibration-map.ts'
import { decide, flipOf } from './decision/decide.ts'
import type { Decision, Explanation, RouteRequest } from './decision/decision.ts'
import {
  explainFields,
  explainLinear,
  explainNeighbours,
  explainParts,
} from './decision/explain.ts'
import { requestText } from './decision/route-request.ts'
import { textOf, withText } from './encoders/context.ts'
import type { Embeddings } from './encoders/embeddings.ts'
import type { Encoded, Encoder, EncoderSpec } from './encoders/encoder.ts'
import type { EncoderAccess } from './encoders/openai/access.ts'
import type { Scores } from './families/linear-head.ts'
import { type LinearHead, scoreLinear } from './families/linear-head.ts'
import { contextKeys, type PromptReader, promptCharacters, promptReader } from './reading/recipe.ts'
import { pickContext } from './reading/transcript.ts'

/** A router's scores for n prompts, in their order. */
export interface RouterScores {
  /** n: calibrated, each in [0, 1] */
  readonly winRate: Float64Array
  /** n x candidates, row-major, if the family has it */
  readonly quality?: Float64Array
  /** n: 1 if the prompt was longer than the encoder reads */
  readonly truncated: Uint8Array
  /** n: how unlike the training prompts each is, 0 to 1; absent in bundles from before 0.2.0 */
  readonly ood?: Float32Array | undefined
}

/** A loaded bundle: one immutable version of one router. */
export interface Router {
  readonly manifest: Manifest
  /** the version's folder */
  readonly path: string
  /** the public key that signed it, if it is signed */
  readonly signedBy?: string | undefined
  /** the text of a stored prompt (see `transcript`) that encoder and head see, by the bundle's recipe */
  readonly read: PromptReader
  /**
   * The win rates of plain prompts, or of conversations as `transcript` writes them.
   *
   * @throws score_invalid, onnx_failed, cancelled
   */
  score(prompts: readonly string[], signal?: AbortSignal): Promise<RouterScores>
  /**
   * `score` of one prompt, synchronously; the result is valid until the next call. Defined if encoder and
   * head never leave the thread (`lexical` and a folded head).
   */
  readonly scoreNow: ((prompt: string) => RouterScores) | undefined
  /** Like `score`, by the fallback head, which always answers in time; undefined if the bundle has none. */
  readonly scoreFallback: ((prompts: readonly string[]) => Promise<RouterScores>) | undefined
  /** Largest difference between the folded head and router.onnx on these prompts; 0 without a folded head. */
  parity(prompts: readonly string[]): Promise<number>
  /** @throws prompt_empty, prompt_too_long, request_invalid, candidates_empty, score_invalid */
  route(request: RouteRequest): Promise<Decision>
  /** The encoder's rows, used to monitor drift and optionally logged. */
  embed(prompts: readonly string[]): Promise<Embeddings>
  /**
   * What moved the win rate of one text: the features of a linear head; for other heads, the effect of
   * removing each part of the text, with the head's neighbours if it has them (a note explains why if not).
   */
  explain(prompt: string): Promise<Explanation>
  close(): Promise<void>
}

export interface RouterOptions {
  /** Opens the bundle's encoder; tests pass a replacement. */
  readonly loadEncoder?: (spec: EncoderSpec, folder: string) => Promise<Encoder>
  /** where the bundle's encoder may send prompts; nowhere by default, because bundles are third-party data */
  readonly encoderAccess?: EncoderAccess | undefined
  /** milliseconds since 1970 */
  readonly now?: () => number
  /** generates decision ids */
  readonly newId?: () => string
  /** replaces the bundle's calibration: `identity` gives raw win rates */
  readonly calibration?: CalibrationMap
  /** replaces the bundle's rule for prompts that are unlike the training prompts */
  readonly ood?: OodRule | undefined
  /** two other candidates of the bundle, instead of the pair it was trained for */
  readonly pair?: ModelPair
  /** ONNX Runtime threads; 1 in servers, where requests are the parallel work */
  readonly threads?: number
  /** public keys (`ed25519:...`) of which one must have signed the bundle; signed or not by default */
  readonly signers?: readonly string[] | undefined
}

/**
 * Opens `NAME/` (its current version) or `NAME/VERSION/` and checks every file against its hash.
 *
 * @throws file_not_found, bundle_invalid, bundle_corrupt, encoder_unknown, encoder_not_allowed, onnx_failed,
 * signature_missing, signature_invalid, signer_unknown
 */
export async function loadRouter(path: string, options: RouterOptions = {}): Promise<Router> {
  const own = await readBundle(path, { signers: options.signers })
  const bundle = options.pair ? withPair(own, options.pair) : own
  const { encoderAccess: access, calibration, ood } = options
  const manifest = { ...bundle.manifest, ...definedOnly({ calibration, ood }) }
  const registry = options.loadEncoder ? undefined : await import('./encoders/registry.ts')
  const loadEncoder =
    options.loadEncoder ??
    ((spec: EncoderSpec, folder: string) => registry!.loadEncoder(spec, folder, { access }))
  const encoder = await loadEncoder(manifest.encoder, bundle.path)
  const head = await openHead(bundle, options.threads ?? 1)
  const now = options.now ?? Date.now
  const newId = options.newId ?? randomUUID

  const fallback = manifest.fallback && {
    encoder: await loadEncoder(manifest.fallback.encoder, bundle.path),
    head: linearScorer((await bundle.fallbackHead())!),
  }
  const read = promptReader(manifest.recipe)
  const keys = contextKeys(manifest.recipe)
  const scoreTexts = (texts: readonly string[], signal?: AbortSignal): Promise<RouterScores> =>
    scoreWith(encoder, head, manifest, texts, signal)
  const score = (prompts: readonly string[], signal?: AbortSignal): Promise<RouterScores> =>
    scoreTexts(prompts.map(read), signal)

  let known: ReturnType<typeof readNeighbours> | undefined
  const explain = async (prompt: string): Promise<Explanation> => {
    const { observational } = manifest.data
    const text = read(prompt)
    return {
      ...(await explainScore(text)),
      read: textOf(encoder.read?.(text) ?? text),
      ...(observational && { observational: describeObservational(observational) }),
      ...(bundle.signedBy !== undefined && { signed_by: bundle.signedBy }),
    }
  }
  const winRates = async (texts: readonly string[]): Promise<Float64Array> =>
    (await scoreTexts(texts)).winRate
  const explainScore = async (text: string): Promise<Explanation> => {
    const { embeddings } = await encoder.encode([text])
    if (head.linear) return explainLinear(head.linear, embeddings, encoder.featureNames?.(text))
    const features = [
      ...(await explainFields(text, encoder, winRates)),
      ...(await explainParts(textOf(text), (texts) =>
        winRates(texts.map((part) => withText(text, part))),
      )),
    ].sort((a, b) => Math.abs(b.contribution) - Math.abs(a.contribution))
    const weights = bundle.manifest.files[NEIGHBOURS_FILE]
      ? await head.neighbours?.(embeddings)
      : undefined
    if (!weights) return { features, note: NO_NEIGHBOURS }
    known ??= readNeighbours(bundle)
    const { rows, texts } = await known
    if (rows.hashes.length !== weights.weight.length) {
      const reason = `${NEIGHBOURS_FILE} has ${rows.hashes.length} rows, the graph ${weights.weight.length}`
      throw new WeirError('bundle_invalid', { path: bundle.path, reason })
    }
    return { features, ...explainNeighbours(weights, rows, texts) }
  }

  return {
    manifest,
    path: bundle.path,
    signedBy: bundle.signedBy,
    read,
    score,
    scoreNow:
      encoder.encodeNow && head.scoreNow
        ? (prompt) => {
            const encoded = encoder.encodeNow!(read(prompt))
            return checkedScores(head.scoreNow!(encoded.embeddings), encoded, manifest)
          }
        : undefined,
    scoreFallback: fallback
      ? (prompts) => scoreWith(fallback.encoder, fallback.head, manifest, prompts.map(read))
      : undefined,
    explain,
    embed: async (prompts) => (await encoder.encode(prompts.map(read))).embeddings,
    async parity(prompts) {
      if (!head.linear) return 0
      const { embeddings } = await encoder.encode(prompts)
      const { openGraphHead } = await import('./bundle/graph-head.ts')
      const graph = await openGraphHead(await bundle.file(ROUTER_FILE), 1)
      try {
        const [folded, exported] = [await head.score(embeddings), await graph.score(embeddings)]
        return folded.winRate.reduce(
          (most, value, i) => Math.max(most, Math.abs(value - exported.winRate[i]!)),
          0,
        )
      } finally {
        await graph.close()
      }
    },
    async route(request) {
      const started = performance.now()
      const text = requestText(request, pickContext(request.metadata, keys))
      if (request.router !== undefined && request.router !== manifest.name) {
        throw new WeirError(
          'router_unknown',
          { router: request.router, known: manifest.name },
          { param: 'router' },
        )
      }
      const scores = await score([text])
      const explanation = request.explain ? await explain(text) : undefined
      const decision = decide({
        manifest,
        winRate: scores.winRate[0]!,
        quality: scores.quality,
        request,
        promptCharacters: promptCharacters(text),
        truncated: scores.truncated[0] === 1,
        ood: scores.ood?.[0],
        hash: promptHash(text),
        id: newId(),
        now: now(),
        elapsedMs: Math.round((performance.now() - started) * 1000) / 1000,
      })
      return explanation ? explained(decision, explanation) : decision
    },
    async close() {
      await head.close()
      await encoder.close?.()
      await fallback?.encoder.close?.()
    },
  }
}

const NO_NEIGHBOURS =
  'no neighbours: the head asks no training prompts, or its bundle is older than the file that names them (train it again to have it)'

/** Read on the first explanation, then cached: the files of a version do not change. */
async function readNeighbours(bundle: Bundle) {
  const rows = decodeNeighbours(await bundle.file(NEIGHBOURS_FILE), bundle.path)
  const texts = bundle.manifest.files[NEIGHBOURS_TEXT_FILE]
    ? decodeNeighbourTexts(await bundle.file(NEIGHBOURS_TEXT_FILE), rows.hashes.length, bundle.path)
    : undefined
  return { rows, texts }
}

async function scoreWith(
  encoder: Encoder,
  head: HeadScorer,
  manifest: Manifest,
  prompts: readonly string[],
  signal?: AbortSignal,
): Promise<RouterScores> {
  const encoded = await encoder.encode(prompts, signal)
  return checkedScores(await head.score(encoded.embeddings), encoded, manifest)
}

/** Applies the calibration; throws if a value is not in [0, 1]. */
function checkedScores(
  { winRate, quality }: Scores,
  { truncated, ood }: Pick<Encoded, 'truncated' | 'ood'>,
  manifest: Manifest,
): RouterScores {
  for (let i = 0; i < winRate.length; i++) {
    const value = calibrate(manifest.calibration, winRate[i]!)
    // written so that NaN fails it
    if (!(value >= 0 && value <= 1)) throw new WeirError('score_invalid', { value })
    winRate[i] = value
  }
  if (quality) {
    for (let i = 0; i < quality.length; i++) {
      if (!(quality[i]! >= 0 && quality[i]! <= 1)) {
        throw new WeirError('score_invalid', { value: quality[i] })
      }
    }
  }
  return quality ? { winRate, quality, truncated, ood } : { winRate, truncated, ood }
}

/** A decision with what moved it and what would have flipped it. */
export function explained(decision: Decision, explanation: Explanation): Decision {
  const flip = flipOf(decision)
  return { ...decision, explanation: flip ? { ...explanation, flip } : explanation }
}

/** A bundle's head, ready to score embeddings; hides how it computes them. */
interface HeadScorer {
  /** the folded head, if there is one; `explain` reads it */
  readonly linear?: LinearHead
  score(embeddings: Embeddings): Promise<Scores> | Scores
  /** Like `score` but synchronous; defined if no session is run. */
  scoreNow?(embeddings: Embeddings): Scores
  /** The training rows' weights for the first prompt, if the head uses them and can report them. */
  neighbours?(embeddings: Embeddings): Promise<NeighbourWeights | undefined>
  close(): Promise<void>
}

/** The folded head if the bundle has one, without ONNX Runtime; otherwise `router.onnx`. */
async function openHead(bundle: Bundle, threads: number): Promise<HeadScorer> {
  const linear = await bundle.head()
  if (linear) return linearScorer(linear)
  const { openGraphHead } = await import('./bundle/graph-head.ts')
  return openGraphHead(await bundle.file(ROUTER_FILE), threads)
}

function linearScorer(linear: LinearHead): HeadScorer {
  return {
    linear,
    score: (embeddings) => scoreLinear(linear, embeddings),
    scoreNow: (embeddings) => scoreLinear(linear, embeddings),
    close: async () => {},
  }
}
