import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join, relative, resolve, sep } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { WeirError } from '../../../core/errors.ts'

/** Nothing from elsewhere, no inline script, no eval, in no frame. */
const CONTENT_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "frame-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.json': 'application/json',
  '.webmanifest': 'application/manifest+json',
}

/** What every answer of the console bears. */
export const SAFE_HEADERS = {
  'content-security-policy': CONTENT_POLICY,
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), microphone=(), geolocation=()',
} as const

/** The folder of the built console: beside the program, or in `dist/` of its sources. @throws file_not_found */
function builtFolder(): string {
  const root = resolve(import.meta.dirname, '../../..')
  const found = [join(root, 'console'), join(root, 'dist/console')].find(
    (folder) =>
      existsSync(join(folder, 'index.html')) && !existsSync(join(folder, 'vite.config.ts')),
  )
  if (found !== undefined) return found
  throw new WeirError('file_not_found', { path: `${join(root, 'dist/console')} (npm run build)` })
}

/**
 * Serves the built files under `/console/`, from memory. Files under `assets/` have their content's hash in
 * their names, and browsers keep them.
 *
 * @throws file_not_found if the console was not built
 */
export function addPages(app: FastifyInstance, folder = builtFolder()): void {
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    const name = relative(folder, path).split(sep).join('/')
    const plain = readFileSync(path)
    const packed = plain.length > 1024 ? gzipSync(plain, { level: 9 }) : undefined
    const type = TYPES[extname(name)] ?? 'application/octet-stream'
    const kept = name.startsWith('assets/') ? 'public, max-age=31536000, immutable' : 'no-cache'
    app.get(`/console/${name === 'index.html' ? '' : name}`, (request, reply) => {
      reply.headers(SAFE_HEADERS).headers({ 'content-type': type, 'cache-control': kept })
      reply.header('vary', 'accept-encoding')
      const zips = /\bgzip\b/.test(String(request.headers['accept-encoding'] ?? ''))
      if (!packed || !zips) return reply.send(plain)
      return reply.header('content-encoding', 'gzip').send(packed)
    })
  }
}
