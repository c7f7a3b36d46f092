import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { promptHash } from '../../../../core/hash.ts'

export const SERVER_DIMENSION = 12

export interface EmbeddingRequest {
  readonly model: string
  readonly input: string[]
  readonly dimensions?: number
  readonly headers: IncomingHttpHeaders
  readonly path: string
}

/** What the server does instead of answering; undefined lets it answer. */
export type Fault = (
  request: EmbeddingRequest,
  count: number,
) => ((response: ServerResponse) => void) | undefined

export interface FaultyServer {
  readonly baseUrl: string
  readonly requests: EmbeddingRequest[]
  close(): Promise<void>
}

/** A vector that depends on the text alone. */
export function vectorOf(text: string, dimension = SERVER_DIMENSION): number[] {
  const hash = promptHash(text)
  return Array.from({ length: dimension }, (_, j) => {
    return Number.parseInt(hash.slice(4 * j, 4 * j + 4), 16) / 65536 - 0.5
  })
}

/** `/v1/embeddings` on loopback, answering in a scrambled order as the protocol allows. */
export async function startFaultyServer(fault: Fault = () => undefined): Promise<FaultyServer> {
  const requests: EmbeddingRequest[] = []
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = []
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
    incoming.on('end', () => {
      const body = JSON.parse(Buffer.concat(chunks).toString()) as EmbeddingRequest
      const request = { ...body, headers: incoming.headers, path: incoming.url ?? '' }
      requests.push(request)
      const instead = fault(request, requests.length)
      if (instead) return instead(response)
      if (request.input.some((text) => text === '')) return json(response, 400, 'empty input')
      const data = request.input.map((text, index) => ({
        object: 'embedding',
        index,
        embedding: vectorOf(text, request.dimensions),
      }))
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify({ object: 'list', data: data.reverse(), model: request.model }))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    baseUrl: `http://127.0.0.1:${port}/v1`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

export function json(response: ServerResponse, status: number, message: string): void {
  response.statusCode = status
  response.setHeader('content-type', 'application/json')
  response.end(JSON.stringify({ error: { message, type: 'invalid_request_error' } }))
}
