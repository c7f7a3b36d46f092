import { WeirError } from '../../../core/errors.ts'
import { type Manifest, roleOf } from '../../../models/bundle/manifest.ts'
import { readBundle } from '../../../models/bundle/read.ts'
import type { ModelPair } from '../../../models/bundle/with-pair.ts'
import { loadRouter, type Router, type RouterOptions } from '../../../models/router.ts'
import type { RouterPast } from './unseen-rows.ts'

/** A router under evaluation, with its name in the report. */
export interface NamedRouter extends RouterPast {
  readonly name: string
  readonly path: string
  readonly router: Router
}

/**
 * Opens every bundle; routers with equal names are distinguished by version, then by number. If a bundle
 * knows both requested models, its columns for them are used; otherwise they stand for its trained pair.
 */
export async function openBundles(
  paths: readonly string[],
  asked: Partial<ModelPair> & Pick<RouterOptions, 'encoderAccess' | 'signers'> = {},
): Promise<NamedRouter[]> {
  const opened: Omit<NamedRouter, 'name'>[] = []
  try {
    for (const path of paths) {
      const bundle = await readBundle(path, { signers: asked.signers })
      const seen = await bundle.dataHashes()
      const pair = knownPair(bundle.manifest, asked)
      const router = await loadRouter(path, {
        encoderAccess: asked.encoderAccess,
        signers: asked.signers,
        ...(pair && { pair }),
      })
      const { split: rule, sources } = router.manifest.data
      const known = new Set(sources.map(({ sha256 }) => sha256))
      opened.push({ path, router, seen, rule, sources: known })
    }
  } catch (error) {
    await closeBundles(opened)
    throw error
  }
  const names = distinctNames(opened.map(({ router }) => router))
  return opened.map((bundle, i) => ({ ...bundle, name: names[i]! }))
}

function knownPair({ candidates }: Manifest, asked: Partial<ModelPair>): ModelPair | undefined {
  const { strong, weak } = asked
  if (strong === undefined || weak === undefined) return undefined
  const known = candidates.map(({ model }) => model)
  return known.includes(strong) && known.includes(weak) ? { strong, weak } : undefined
}

export async function closeBundles(bundles: readonly { readonly router: Router }[]): Promise<void> {
  await Promise.all(bundles.map(({ router }) => router.close()))
}

function distinctNames(routers: readonly Router[]): string[] {
  const plain = routers.map(({ manifest }) => manifest.name)
  const versioned = routers.map(({ manifest }, i) =>
    plain.filter((name) => name === plain[i]).length > 1
      ? `${manifest.name}@${manifest.version.slice(0, 8)}`
      : manifest.name,
  )
  return versioned.map((name, i) => {
    const earlier = versioned.slice(0, i).filter((other) => other === name).length
    return earlier > 0 ? `${name}#${earlier + 1}` : name
  })
}

/** The requested models, or the pair that all bundles choose between. */
export function pairOf(bundles: readonly NamedRouter[], asked: Partial<ModelPair>): ModelPair {
  const pairs = bundles.map(({ router }) => ({
    strong: asked.strong ?? modelOf(router, 'strong'),
    weak: asked.weak ?? modelOf(router, 'weak'),
  }))
  const [first] = pairs
  const other = pairs.find(({ strong, weak }) => strong !== first!.strong || weak !== first!.weak)
  if (other) {
    throw new WeirError('option_invalid', {
      option: '--strong and --weak',
      expected: 'bundles for the same pair of models, or both options',
      got: `${first!.strong} over ${first!.weak} and ${other.strong} over ${other.weak}`,
    })
  }
  return first!
}

export function modelOf({ manifest }: Router, role: 'strong' | 'weak'): string {
  return roleOf(manifest.candidates, role).model
}
