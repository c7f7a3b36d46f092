import { createHash, createHmac, hash, randomBytes, timingSafeEqual } from 'node:crypto'
import { link, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LruMap } from '../../core/bounded-map.ts'
import { makeFolders } from '../../core/files.ts'
import { readDecisionLog } from '../../records/log-reader.ts'
import { isPostgresUrl } from '../../records/postgres.ts'

/** The owner of the decision with an id: the caller's key, another key, or unknown. */
export type IdOwner = 'own' | 'other' | 'nobody'

const PREFIX = 'w1_'
/** Each part is 6 bytes, which are 8 characters of base64url; the MAC is two. */
const PART_BYTES = 6
const PART = 8
const KEY_AT = PREFIX.length + 2 * PART
const MAC_AT = KEY_AT + PART
const LENGTH = MAC_AT + 2 * PART
/** Number of parts in the pool of random characters, which is filled at once. */
const POOL_PARTS = 682
/** Number of ids without a MAC that are remembered: those of decisions from before ids had one. */
const OLD_IDS = 200_000

export interface DecisionIdsOptions {
  /** the same for all processes of one server group */
  readonly secret: string
  /** milliseconds since 1970 */
  readonly now: () => number
  /** replaces the generator of ids; its ids carry no MAC and are remembered */
  readonly newId?: (() => string) | undefined
  /** a decision log with ids from before they carried a MAC, read once when first needed */
  readonly log?: string | undefined
}

/**
 * Makes the ids of decisions and requests. Each id holds its time, a random number, a tag of the caller's key
 * and a MAC over these (96 bits), so that any process with the secret knows the owner without a look-up.
 *
 * The MAC is SHA-256 over a secret block and a text of fixed length, truncated: an eighth of the cost of
 * `createHmac`, and as secure for this use (Bellare, Bernstein and Tessaro, "Hash-Function Based PRFs: AMAC and
 * Its Multi-User Security", 2016).
 */
export class DecisionIds {
  readonly #options: DecisionIdsOptions
  /** 64 characters, one block of SHA-256 */
  readonly #macKey: string
  readonly #tags = new LruMap<string, string>(10_000)
  readonly #old = new LruMap<string, true>(OLD_IDS)
  #pool = ''
  #used = 0
  #millisecond = -1
  #time = ''
  #logRead: Promise<void> | undefined

  constructor(options: DecisionIdsOptions) {
    this.#options = options
    this.#macKey = createHmac('sha256', options.secret).update('id').digest('hex')
  }

  /** @param key name of the caller's API key */
  next(key: string): string {
    const { newId } = this.#options
    if (newId) {
      const id = newId()
      this.#old.set(id, true)
      return id
    }
    const signed = PREFIX + this.#timePart() + this.#randomPart() + this.#tagOf(key)
    return signed + this.#mac(signed)
  }

  /** Ids without a MAC are accepted from any key if they are remembered or in the log. */
  async ownerOf(id: string, key: string): Promise<IdOwner> {
    if (id.length === LENGTH && id.startsWith(PREFIX)) {
      if (!sameText(id.slice(MAC_AT), this.#mac(id.slice(0, MAC_AT)))) return 'nobody'
      return sameText(id.slice(KEY_AT, MAC_AT), this.#tagOf(key)) ? 'own' : 'other'
    }
    if (this.#old.get(id)) return 'own'
    this.#logRead ??= this.#readLog()
    await this.#logRead
    return this.#old.get(id) ? 'own' : 'nobody'
  }

  /**
   * A MAC (96 bits) over texts that a client holds for this server, which any process with the secret can check.
   *
   * @param purpose tells these texts from those of other uses
   */
  mac(purpose: string, texts: readonly string[]): string {
    const whole = createHmac('sha256', this.#options.secret)
    return whole
      .update(`${purpose}\n${JSON.stringify(texts)}`)
      .digest('base64url')
      .slice(0, 2 * PART)
  }

  #timePart(): string {
    const now = Math.max(0, Math.floor(this.#options.now()))
    if (now !== this.#millisecond) {
      const bytes = Buffer.alloc(PART_BYTES)
      bytes.writeUIntBE(now, 0, PART_BYTES)
      this.#time = bytes.toString('base64url')
      this.#millisecond = now
    }
    return this.#time
  }

  #randomPart(): string {
    if (this.#used === this.#pool.length) {
      this.#pool = randomBytes(POOL_PARTS * PART_BYTES).toString('base64url')
      this.#used = 0
    }
    const start = this.#used
    this.#used += PART
    return this.#pool.slice(start, this.#used)
  }

  #tagOf(key: string): string {
    let tag = this.#tags.get(key)
    if (tag === undefined) {
      const whole = createHmac('sha256', this.#options.secret).update(`key\n${key}`)
      tag = whole.digest('base64url').slice(0, PART)
      this.#tags.set(key, tag)
    }
    return tag
  }

  #mac(signed: string): string {
    return hash('sha256', this.#macKey + signed, 'base64url').slice(0, 2 * PART)
  }

  async #readLog(): Promise<void> {
    const { log } = this.#options
    if (log === undefined) return
    for await (const { record } of readDecisionLog(log)) {
      if (record.object !== 'decision' && record.object !== 'gateway') continue
      if (!record.id.startsWith(PREFIX)) this.#old.set(record.id, true)
    }
  }
}

/** Compares in a time that does not tell where two texts differ. */
export const sameText = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}

const SECRET_FILE = 'id-secret'

/** The variable in which a server that has workers gives all of them one secret. */
export const GROUP_SECRET = 'WEIR_GROUP_SECRET'

/**
 * The secret of a server group: `WEIR_ID_SECRET`, else a file in the folder of the log or the store that is
 * created once (mode 0600), else the address of a PostgreSQL store, which all its replicas share. Without any
 * of these there is no feedback, and the secret is that of the server's start (`GROUP_SECRET`).
 */
export async function idSecret(
  environment: Readonly<Record<string, string | undefined>>,
  logFolder: string | undefined,
  store: string | undefined,
): Promise<string> {
  const told = environment.WEIR_ID_SECRET
  if (told) return told
  if (store !== undefined && isPostgresUrl(store))
    return createHash('sha256').update(`weir-id\n${store}`).digest('hex')
  const folder = logFolder ?? store
  if (folder !== undefined) return secretIn(folder)
  return environment[GROUP_SECRET] ?? randomBytes(32).toString('hex')
}

async function secretIn(folder: string): Promise<string> {
  const path = join(folder, SECRET_FILE)
  const read = (): Promise<string> => readFile(path, 'utf8')
  try {
    return await read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  makeFolders(folder)
  const partial = `${path}.${process.pid}.${randomBytes(4).toString('hex')}`
  try {
    await writeFile(partial, randomBytes(32).toString('hex'), { mode: 0o600, flag: 'wx' })
    // several workers start at the same time: all use the first one's secret
    await link(partial, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  } finally {
    await rm(partial, { force: true })
  }
  return read()
}
