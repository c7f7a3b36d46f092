import { readFile } from 'node:fs/promises'
import Type from 'typebox'
import { definedOnly } from '../../core/defined.ts'
import { WeirError } from '../../core/errors.ts'
import type { OutgoingTls } from '../../core/outgoing.ts'

/** Certificates of the connections to an upstream, as PEM files. */
export const TlsSettings = Type.Object(
  {
    /** authorities that are trusted besides Node's own (and those of `NODE_EXTRA_CA_CERTS`) */
    ca: Type.Optional(Type.String({ minLength: 1 })),
    /** the client's certificate, with its chain, and its key */
    cert: Type.Optional(Type.String({ minLength: 1 })),
    key: Type.Optional(Type.String({ minLength: 1 })),
    /** the environment variable that holds the key's passphrase */
    passphrase_env: Type.Optional(Type.String({ pattern: '^[A-Za-z_][A-Za-z0-9_]*$' })),
    /** the name that the server's certificate has, if it is not the host's */
    server_name: Type.Optional(Type.String({ minLength: 1 })),
  },
  { additionalProperties: false },
)
export type TlsSettings = Type.Static<typeof TlsSettings>

/** @param where the path of the settings, for errors. @throws config_invalid */
export async function readTls(
  settings: TlsSettings,
  where: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<OutgoingTls> {
  const { ca, cert, key, passphrase_env: variable, server_name: servername } = settings
  const invalid = (field: string, expected: string, got: string): WeirError =>
    new WeirError('config_invalid', { where: `${where}.${field}`, expected, got })
  if ((cert === undefined) !== (key === undefined)) {
    const missing = cert === undefined ? 'cert' : 'key'
    throw invalid(missing, 'a certificate and its key', 'one of them alone')
  }
  const passphrase = variable === undefined ? undefined : environment[variable]
  if (variable !== undefined && !passphrase) {
    const expected = 'an environment variable that holds the passphrase'
    throw invalid('passphrase_env', expected, `${variable}, which is not set`)
  }
  const read = async (field: string, path: string | undefined): Promise<string | undefined> => {
    if (path === undefined) return undefined
    const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
      throw invalid(field, 'a readable PEM file', `${path} (${error.code})`)
    })
    if (text.includes('-----BEGIN ')) return text
    throw invalid(field, 'a PEM file, with -----BEGIN ...-----', path)
  }
  const texts = {
    ca: await read('ca', ca),
    cert: await read('cert', cert),
    key: await read('key', key),
  }
  return definedOnly({ ...texts, passphrase, servername })
}
