import { connect } from 'node:net'
import { createRandom } from '../../../core/random.ts'
import { type FuzzRequest, fuzzRequest } from './requests.ts'

export interface AttackResult {
  readonly sent: number
  /** answers by status; `none` if the connection ended without one */
  readonly statuses: Readonly<Record<string, number>>
  /** requests that caused an internal error, for inspection */
  readonly serverErrors: readonly string[]
}

export interface AttackOptions {
  readonly port: number
  readonly requests: number
  readonly connections: number
  readonly seed: number
  readonly onProgress?: (done: number) => void
}

/** Longest wait for an answer: a request that is shorter than its stated length gets none. */
const PATIENCE_MS = 300
const PAUSE_MS = 20

/** Sends random and mutated requests over a number of parallel connections, each request on a new one. */
export async function attack(options: AttackOptions): Promise<AttackResult> {
  const random = createRandom(options.seed)
  const statuses: Record<string, number> = {}
  const serverErrors: string[] = []
  let sent = 0
  const worker = async (): Promise<void> => {
    while (sent < options.requests) {
      sent++
      const request = fuzzRequest(random)
      const answer = await exchange(options.port, request)
      const status = /^HTTP\/1\.[01] (\d{3})/.exec(answer)?.[1] ?? 'none'
      statuses[status] = (statuses[status] ?? 0) + 1
      if (status.startsWith('5') && status !== '503') {
        serverErrors.push(
          `${request.bytes.toString('latin1').slice(0, 500)} -> ${answer.slice(0, 300)}`,
        )
      }
      if (sent % 500 === 0) options.onProgress?.(sent)
    }
  }
  await Promise.all(Array.from({ length: options.connections }, worker))
  return { sent, statuses, serverErrors }
}

function exchange(port: number, { bytes, cut, slow }: FuzzRequest): Promise<string> {
  return new Promise((resolve) => {
    let answer = ''
    const socket = connect(port, '127.0.0.1')
    const end = (): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(answer)
    }
    const timer = setTimeout(end, PATIENCE_MS)
    socket.setEncoding('latin1')
    socket.on('connect', () => {
      if (slow) {
        socket.write(bytes.subarray(0, bytes.length >> 1))
        setTimeout(
          () => socket.destroyed || socket.write(bytes.subarray(bytes.length >> 1)),
          PAUSE_MS,
        )
      } else {
        socket.write(bytes, () => {
          if (cut) end()
        })
      }
    })
    socket.on('data', (chunk: string) => {
      answer += chunk
      // skip interim answers
      const final = answer.replace(/^HTTP\/1\.1 1\d\d[\s\S]*?\r\n\r\n/, '')
      const head = final.indexOf('\r\n\r\n')
      const length = /\r\ncontent-length: (\d+)/i.exec(final)?.[1]
      if (head >= 0 && (length === undefined || final.length >= head + 4 + Number(length))) {
        answer = final
        end()
      }
    })
    socket.on('error', end)
    socket.on('close', end)
  })
}
