import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { ConsoleCaller } from './contract.ts'

/** Milliseconds without a request, and since signing in, after which a session ends. */
const IDLE_MS = 60 * 60_000
const WHOLE_MS = 12 * 60 * 60_000
/** Milliseconds in which an invitation can be used. */
const INVITED_MS = 15 * 60_000
/** Most sessions; the oldest ends for a further one. */
const SESSIONS = 200

export interface OpenSession extends ConsoleCaller {
  /** what a changing request must send in a header, which other sites cannot read */
  readonly csrf: string
  /** milliseconds since 1970 */
  readonly expires: number
}

interface Kept extends OpenSession {
  seen: number
}

/** Sessions of people in the console, in memory: they end with the process. */
export class Sessions {
  /** by the hash of the cookie, so that comparing does not tell it by its time */
  private readonly open = new Map<string, Kept>()
  private readonly invited = new Map<string, { caller: ConsoleCaller; until: number }>()

  private readonly now: () => number

  /** @param now milliseconds since 1970 */
  constructor(now: () => number) {
    this.now = now
  }

  /** Signs somebody in; returns the cookie. */
  start({ name, role }: ConsoleCaller): string {
    const cookie = secret()
    const now = this.now()
    if (this.open.size >= SESSIONS) this.open.delete(this.open.keys().next().value!)
    const session = { name, role, csrf: secret(), expires: now + WHOLE_MS, seen: now }
    this.open.set(digest(cookie), session)
    return cookie
  }

  /** The session of a cookie, which this keeps from being idle; undefined if it ended. */
  of(cookie: string | undefined): OpenSession | undefined {
    if (cookie === undefined) return undefined
    const id = digest(cookie)
    const session = this.open.get(id)
    if (!session) return undefined
    const now = this.now()
    if (now > session.expires || now - session.seen > IDLE_MS) {
      this.open.delete(id)
      return undefined
    }
    session.seen = now
    return session
  }

  end(cookie: string | undefined): void {
    if (cookie !== undefined) this.open.delete(digest(cookie))
  }

  /** A code that signs in once, for an address that is printed for the person who started the program. */
  invite(caller: ConsoleCaller): string {
    const code = secret()
    this.invited.set(digest(code), { caller, until: this.now() + INVITED_MS })
    return code
  }

  /** The invitation of a code, which is then used up; undefined if there is none. */
  accept(code: string): ConsoleCaller | undefined {
    const id = digest(code)
    const found = this.invited.get(id)
    if (!found) return undefined
    this.invited.delete(id)
    return this.now() <= found.until ? found.caller : undefined
  }
}

export const sameSecret = (a: string, b: string): boolean =>
  timingSafeEqual(Buffer.from(digest(a)), Buffer.from(digest(b)))

const secret = (): string => randomBytes(32).toString('base64url')
const digest = (text: string): string => createHash('sha256').update(text).digest('hex')
