import { createHash, createHmac, randomBytes, randomFillSync, timingSafeEqual } from 'node:crypto'
import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LruMap } from '../../core/bounded-map.ts'
import { readDecisionLog } from '../../records/log-reader.ts'

/** The owner of the decision with an id: the caller's key, another key, or unknown. */
export type IdOwner = 'own' | 'other' | 'nobody'

const PREFIX = 'w1_'
const TIME = 6
const NONCE = 6
const KEY = 6
const MAC = 12
const SIGNED = TIME + NONCE + KEY
const LENGTH = PREFIX.length + ((SIGNED + MAC) * 4) / 3
const POOL = 4092
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
 * and a MAC over these (HMAC-SHA256, 96 bits), so that any process with the secret knows the owner without a
 * look-up.
 */
export class DecisionIds {
  readonly #options: DecisionIdsOptions
  readonly #tags = new LruMap<string, Buffer>(10_000)
  readonly #old = new LruMap<string, true>(OLD_IDS)
  readonly #pool = Buffer.alloc(POOL)
  #used = POOL
  #logRead: Promise<void> | undefined

  constructor(options: DecisionIdsOptions) {
    this.#options = options
  }

  /** @param key name of the caller's API key */
  next(key: string): string {
    const { newId, now } = this.#options
    if (newId) {
      const id = newId()
      this.#old.set(id, true)
      return id
    }
    const bytes = Buffer.alloc(SIGNED + MAC)
    bytes.writeUIntBE(Math.max(0, Math.floor(now())), 0, TIME)
    if (this.#used + NONCE > POOL) {
      randomFillSync(this.#pool)
      this.#used = 0
    }
    this.#pool.copy(bytes, TIME, this.#used, this.#used + NONCE)
    this.#used += NONCE
    this.#tagOf(key).copy(bytes, TIME + NONCE)
    this.#mac(bytes).copy(bytes, SIGNED, 0, MAC)
    return PREFIX + bytes.toString('base64url')
  }

  /** Ids without a MAC are accepted from any key if they are remembered or in the log. */
  async ownerOf(id: string, key: string): Promise<IdOwner> {
    if (id.length === LENGTH && id.startsWith(PREFIX)) {
      const bytes = Buffer.from(id.slice(PREFIX.length), 'base64url')
      const genuine =
        bytes.length === SIGNED + MAC &&
        timingSafeEqual(this.#mac(bytes).subarray(0, MAC), bytes.subarray(SIGNED))
      if (genuine) {
        const tag = bytes.subarray(TIME + NONCE, SIGNED)
        return timingSafeEqual(tag, this.#tagOf(key)) ? 'own' : 'other'
      }
      return 'nobody'
    }
    if (this.#old.get(id)) return 'own'
    this.#logRead ??= this.#readLog()
    await this.#logRead
    return this.#old.get(id) ? 'own' : 'nobody'
  }

  #tagOf(key: string): Buffer {
    let tag = this.#tags.get(key)
    if (!tag) {
      const whole = createHmac('sha256', this.#options.secret).update(`key\n${key}`).digest()
      tag = whole.subarray(0, KEY)
      this.#tags.set(key, tag)
    }
    return tag
  }

  #mac(bytes: Buffer): Buffer {
    return createHmac('sha256', this.#options.secret).update(bytes.subarray(0, SIGNED)).digest()
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

const SECRET_FILE = 'id-secret'

/**
 * The secret of a server group: `WEIR_ID_SECRET`, else a file in the folder of the log or the store that is
 * created once (mode 0600), else the address of a PostgreSQL store, which all its replicas share. Without any
 * of these there is no feedback, and only this process needs to know its ids.
 */
export async function idSecret(
  environment: Readonly<Record<string, string | undefined>>,
  logFolder: string | undefined,
  store: string | undefined,
): Promise<string> {
  const told = environment.WEIR_ID_SECRET
  if (told) return told
  const shared = store !== undefined && /^postgres(ql)?:\/\//.test(store)
  if (shared) return createHash('sha256').update(`weir-id\n${store}`).digest('hex')
  const folder = logFolder ?? store
  return folder === undefined ? randomBytes(32).toString('hex') : secretIn(folder)
}

async function secretIn(folder: string): Promise<string> {
  const path = join(folder, SECRET_FILE)
  const read = (): Promise<string> => readFile(path, 'utf8')
  try {
    return await read()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
  await mkdir(folder, { recursive: true })
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
