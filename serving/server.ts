import type { AddressInfo, Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { WeirError } from '../models/errors.ts'

export interface ListenOptions {
  readonly host: string
  /** 0 takes any free port */
  readonly port: number
}

/** Longest wait for requests under way when the server is told to stop, in milliseconds. */
export const DRAIN_MS = 10_000

/**
 * Starts listening and gives the base URL.
 *
 * @throws address_in_use, address_invalid
 */
export async function listen(app: FastifyInstance, { host, port }: ListenOptions): Promise<string> {
  closeUnasked(app)
  try {
    await app.listen({ host, port })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    const address = `${host}:${port}`
    if (code === 'EADDRINUSE') throw new WeirError('address_in_use', { address }, { cause })
    throw new WeirError('address_invalid', { address, reason: code ?? String(cause) }, { cause })
  }
  const bound = app.server.address() as AddressInfo
  return baseUrl(bound.address, bound.port)
}

/** Node takes a connection on which nothing was asked yet for a busy one, and closing would wait for it. */
function closeUnasked(app: FastifyInstance): void {
  const unasked = new Set<Socket>()
  app.server.on('connection', (socket) => {
    unasked.add(socket)
    socket.once('close', () => unasked.delete(socket))
  })
  app.server.on('request', ({ socket }) => unasked.delete(socket))
  app.addHook('preClose', (done) => {
    for (const socket of unasked) socket.destroy()
    done()
  })
}

export function baseUrl(address: string, port: number): string {
  return `http://${address.includes(':') ? `[${address}]` : address}:${port}`
}

/** Takes no new requests, lets those under way finish for `DRAIN_MS`, then cuts what is left. */
export async function drain(app: FastifyInstance, limitMs: number = DRAIN_MS): Promise<void> {
  const cut = setTimeout(() => app.server.closeAllConnections(), limitMs)
  try {
    await app.close()
  } finally {
    clearTimeout(cut)
  }
}
