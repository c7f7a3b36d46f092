import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto'
import Type from 'typebox'
import { Compile } from 'typebox/compile'
import { WeirError } from '../../core/errors.ts'

/**
 * `signature.json`, beside `manifest.json`: who vouches for a version. It signs the SHA-256 of the bytes of
 * `manifest.json`, which holds the SHA-256 of every other file, so it covers the whole version. It is not
 * listed in the manifest, so signing does not change the version.
 */
export const SIGNATURE_FILE = 'signature.json'

/** `ed25519:` and the 32 bytes of the public key in base64url. */
export const PublicKey = Type.String({ pattern: '^ed25519:[A-Za-z0-9_-]{43}$' })

const SignatureFile = Type.Object(
  {
    format: Type.Literal(1),
    public_key: PublicKey,
    /** SHA-256 of the bytes of manifest.json, in hex */
    manifest_sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
    /** ed25519, base64 */
    signature: Type.String({ pattern: '^[A-Za-z0-9+/]{86}==$' }),
  },
  { additionalProperties: false },
)
const isSignature = Compile(SignatureFile)

/** So that a signature made for something else with the same key is never one of a bundle. */
const PURPOSE = 'weir bundle signature 1'

/** A new ed25519 key pair: the private key as PEM (PKCS 8), the public key as text. */
export function newSigningKey(): { readonly privateKey: string; readonly publicKey: string } {
  const { privateKey } = generateKeyPairSync('ed25519')
  return {
    privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    publicKey: publicKeyOf(privateKey),
  }
}

/** @throws signing_key_invalid; `path` is the file named in the message */
export function parseSigningKey(pem: string, path: string): KeyObject {
  const refuse = (got: string, cause?: unknown): WeirError =>
    new WeirError('signing_key_invalid', { path, got }, { cause })
  let key: KeyObject
  try {
    key = createPrivateKey(pem)
  } catch (cause) {
    throw refuse('none that can be read', cause)
  }
  if (key.asymmetricKeyType !== 'ed25519') throw refuse(`one of kind ${key.asymmetricKeyType}`)
  return key
}

/** The text of a private key's public key. */
export function publicKeyOf(privateKey: KeyObject): string {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' })
  return `ed25519:${x}`
}

/** The text of `signature.json`. */
export function signManifest(manifestBytes: Uint8Array, privateKey: KeyObject): string {
  const file: Type.Static<typeof SignatureFile> = {
    format: 1,
    public_key: publicKeyOf(privateKey),
    manifest_sha256: hashOf(manifestBytes),
    signature: sign(null, signedText(hashOf(manifestBytes)), privateKey).toString('base64'),
  }
  return `${JSON.stringify(file, null, 2)}\n`
}

/**
 * Checks a bundle's signature.
 *
 * @param signature the bytes of `signature.json`; undefined without one
 * @param signers public keys of which one must have signed; undefined accepts any signer, and none
 * @param path the bundle named in the message
 * @returns the public key that signed it; undefined if it is not signed
 * @throws signature_missing, signature_invalid, signer_unknown
 */
export function verifySignature(
  manifestBytes: Uint8Array,
  signature: Uint8Array | undefined,
  signers: readonly string[] | undefined,
  path: string,
): string | undefined {
  if (!signature) {
    if (signers === undefined) return undefined
    throw new WeirError('signature_missing', { path, keys: signers })
  }
  const invalid = (reason: string): WeirError =>
    new WeirError('signature_invalid', { path, reason })
  const file = parsed(signature)
  if (!isSignature.Check(file)) throw invalid(`${SIGNATURE_FILE} does not hold a signature`)
  const { public_key: signer, manifest_sha256: hash } = file
  const own = hashOf(manifestBytes)
  if (hash !== own) {
    throw invalid(`it signs a manifest with sha256 ${hash}, manifest.json here has ${own}`)
  }
  if (!verify(null, signedText(hash), keyObject(signer), Buffer.from(file.signature, 'base64'))) {
    throw invalid(`it is not one that ${signer} made of this manifest`)
  }
  if (signers !== undefined && !signers.includes(signer)) {
    throw new WeirError('signer_unknown', { path, signer, keys: signers })
  }
  return signer
}

const keyObject = (text: string): KeyObject =>
  createPublicKey({
    format: 'jwk',
    key: { kty: 'OKP', crv: 'Ed25519', x: text.slice('ed25519:'.length) },
  })

const signedText = (hash: string): Buffer => Buffer.from(`${PURPOSE}\n${hash}\n`)

const hashOf = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')

function parsed(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch {
    return undefined
  }
}
