import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import { fetchFromHub } from '../../../data/hub/download.ts'
import { parseReference } from '../../../data/hub/reference.ts'
import { refusal, scratch } from '../scratch.ts'

const CONTENT = Buffer.from('prompt,m,n\n'.padEnd(300_000, 'x,1,0\n'))
const SHA256 = createHash('sha256').update(CONTENT).digest('hex')
const REFERENCE = parseReference('hf://datasets/owner/name/data/train.csv')

interface Request {
  readonly url: string
  readonly range: string | undefined
  readonly authorization: string | undefined
}

const servers: ReturnType<typeof createServer>[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** A hub: the front host redirects large files to a storage host, which serves ranges. */
async function startHub(
  handle: (
    request: IncomingMessage,
    response: ServerResponse,
    seen: Request[],
  ) => boolean | undefined = () => undefined,
) {
  const seen: Request[] = []
  const storage = await listen((request, response) => serve(request, response, seen, handle))
  const endpoint = await listen((request, response) => {
    const { url = '' } = request
    seen.push({ url, range: undefined, authorization: request.headers.authorization })
    if (handle(request, response, seen)) return
    if (url.startsWith('/datasets/owner/name/resolve/main/')) {
      response.writeHead(302, {
        location: `${storage}/blob`,
        'x-linked-etag': `"${SHA256}"`,
        'x-linked-size': CONTENT.length,
      })
      response.end()
    } else {
      response.writeHead(404).end()
    }
  })
  return { endpoint, seen }
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  seen: Request[],
  handle: (
    request: IncomingMessage,
    response: ServerResponse,
    seen: Request[],
  ) => boolean | undefined,
): void {
  const { range, authorization } = request.headers
  seen.push({ url: request.url ?? '', range, authorization })
  if (handle(request, response, seen)) return
  const from = Number(/bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0)
  const body = CONTENT.subarray(from)
  const headers = { etag: '"storage"', 'content-length': body.length }
  if (from > 0) {
    const contentRange = `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}`
    response.writeHead(206, { ...headers, 'content-range': contentRange })
  } else response.writeHead(200, headers)
  response.end(body)
}

async function listen(
  handler: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<string> {
  const server = createServer(handler)
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function options(endpoint: string) {
  const waits: number[] = []
  const sleep = async (ms: number): Promise<void> => {
    waits.push(ms)
  }
  return { endpoint, folder: await scratch(), waits, sleep }
}

describe('weir data fetch', () => {
  test('follows the redirect, checks the hash, and fetches nothing twice', async () => {
    const { endpoint, seen } = await startHub()
    const settings = await options(endpoint)
    const [first] = await fetchFromHub(REFERENCE, settings)
    expect(first).toMatchObject({ bytes: CONTENT.length, downloaded: true })
    expect(first!.path).toBe(join(settings.folder, 'datasets/owner/name/main/data/train.csv'))
    expect(CONTENT.equals(await readFile(first!.path))).toBe(true)
    const [again] = await fetchFromHub(REFERENCE, settings)
    expect(again!.downloaded).toBe(false)
    expect(seen.map(({ url }) => url).filter((url) => url === '/blob').length).toBe(1)
  })

  test('sends the token to the hub and to nobody it redirects to', async () => {
    const { endpoint, seen } = await startHub()
    await fetchFromHub(REFERENCE, { ...(await options(endpoint)), token: 'secret' })
    expect(seen.map(({ authorization }) => authorization)).toEqual([
      'Bearer secret',
      'Bearer secret',
      undefined,
    ])
  })

  test('goes on where a cut connection stopped', async () => {
    let cuts = 0
    const { endpoint, seen } = await startHub((request, response) => {
      if (request.url !== '/blob' || cuts >= 2) return false
      const from = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0)
      cuts++
      const headers = {
        'content-length': CONTENT.length - from,
        'content-range': `bytes ${from}-${CONTENT.length - 1}/${CONTENT.length}`,
      }
      response.writeHead(from > 0 ? 206 : 200, headers)
      response.write(CONTENT.subarray(from, from + 70_000), () => response.destroy())
      return true
    })
    const [file] = await fetchFromHub(REFERENCE, await options(endpoint))
    expect(CONTENT.equals(await readFile(file!.path))).toBe(true)
    const ranges = seen.filter(({ url }) => url === '/blob').map(({ range }) => range)
    expect(ranges[0]).toBeUndefined()
    expect(ranges.slice(1).every((range) => /^bytes=[1-9]\d*-$/.test(range!))).toBe(true)
  })

  test('goes on with what an earlier run had, unless the file has changed since', async () => {
    for (const [etag, expected] of [
      [SHA256, ['bytes=1000-']],
      ['other', []],
    ] as const) {
      const { endpoint, seen } = await startHub()
      const settings = await options(endpoint)
      const [file] = await fetchFromHub(REFERENCE, settings)
      await writeFile(`${file!.path}.etag`, 'gone')
      await writeFile(`${file!.path}.partial`, CONTENT.subarray(0, 1000))
      await writeFile(`${file!.path}.partial.etag`, etag)
      seen.length = 0
      await fetchFromHub(REFERENCE, settings)
      expect(CONTENT.equals(await readFile(file!.path))).toBe(true)
      expect(seen.map(({ range }) => range).filter((range) => range !== undefined)).toEqual(
        expected,
      )
    }
  })

  test('waits as long as a busy hub asks, and tries again after a broken answer', async () => {
    let answers = 0
    const { endpoint } = await startHub((_, response) => {
      answers++
      if (answers === 1) response.writeHead(429, { 'retry-after': '7' }).end()
      else if (answers === 2) response.writeHead(503).end()
      return answers <= 2
    })
    const settings = await options(endpoint)
    const [file] = await fetchFromHub(REFERENCE, settings)
    expect(file!.downloaded).toBe(true)
    expect(settings.waits).toEqual([7000, 1000])
  })

  test('gives up on a hub that stays broken', async () => {
    const { endpoint } = await startHub((_, response) => {
      response.writeHead(500).end()
      return true
    })
    const error = await refusal(fetchFromHub(REFERENCE, await options(endpoint)), 'hub_failed')
    expect(error.message).toContain('500 (6 tries)')
  })

  test.each([
    [401, 'hub_denied'],
    [403, 'hub_denied'],
    [404, 'hub_not_found'],
    [400, 'hub_failed'],
  ] as const)('says what a %i means, at once', async (status, code) => {
    const { endpoint, seen } = await startHub((_, response) => {
      response.writeHead(status).end()
      return true
    })
    const error = await refusal(fetchFromHub(REFERENCE, await options(endpoint)), code)
    expect(error.message).toContain(`${status}`)
    expect(seen.length).toBe(1)
  })

  test('refuses a file whose bytes are not the hub’s, and keeps nothing of it', async () => {
    const { endpoint } = await startHub((request, response) => {
      if (request.url !== '/blob') return false
      const wrong = Buffer.from(CONTENT)
      wrong[5]! ^= 1
      response.writeHead(200, { 'content-length': wrong.length }).end(wrong)
      return true
    })
    const settings = await options(endpoint)
    await refusal(fetchFromHub(REFERENCE, settings), 'download_corrupt')
    const target = join(settings.folder, 'datasets/owner/name/main/data/train.csv')
    await expect(readFile(target)).rejects.toThrow('ENOENT')
    await expect(readFile(`${target}.partial`)).rejects.toThrow('ENOENT')
  })

  test('without a path takes every log file of the repository, page by page', async () => {
    const { endpoint } = await startHub((request, response) => {
      const { url = '' } = request
      if (!url.startsWith('/api/')) return false
      const second = url.includes('cursor=2')
      const files = second
        ? ['data/b.parquet']
        : ['README.md', 'data/a.parquet', 'dataset_info.json']
      const headers = second ? {} : { link: `<${url}&cursor=2>; rel="next"` }
      response.writeHead(200, headers)
      response.end(JSON.stringify(files.map((path) => ({ type: 'file', path, size: 1 }))))
      return true
    })
    const whole = parseReference('hf://datasets/owner/name')
    const files = await fetchFromHub(whole, await options(endpoint))
    expect(files.map(({ path }) => path.split('/').slice(-2).join('/'))).toEqual([
      'data/a.parquet',
      'data/b.parquet',
    ])
  })

  test('sends its token to no page on another host, and follows nothing to a metadata service', async () => {
    const elsewhere: (string | undefined)[] = []
    const other = await listen((request, response) => {
      elsewhere.push(request.headers.authorization)
      response.writeHead(200).end('[]')
    })
    const { endpoint } = await startHub((_, response) => {
      response.writeHead(200, { link: `<${other}/api/more>; rel="next"` }).end('[]')
      return true
    })
    const whole = parseReference('hf://datasets/owner/name')
    const settings = { ...(await options(endpoint)), token: 'hf_secret' }
    await fetchFromHub(whole, settings).catch(() => {})
    expect(elsewhere).toEqual([undefined])

    const { endpoint: led } = await startHub((_, response) => {
      response.writeHead(302, { location: 'http://169.254.169.254/latest/meta-data' }).end()
      return true
    })
    await refusal(fetchFromHub(REFERENCE, await options(led)), 'config_invalid')
  })

  test('knows sets by name and refuses what is no reference', async () => {
    expect(parseReference('lmsys-arena-55k').repo).toBe('lmsys/lmsys-arena-human-preference-55k')
    expect(parseReference('hf://datasets/a/b@v1.2/c/d.csv')).toEqual({
      type: 'datasets',
      repo: 'a/b',
      revision: 'v1.2',
      path: 'c/d.csv',
    })
    for (const text of [
      'nothing',
      'hf://datasets/a',
      'hf://datasets/a/b/../../x',
      'hf://datasets/a/b@/c',
    ]) {
      const parsing = Promise.resolve().then(() => parseReference(text))
      await refusal(parsing, 'option_invalid')
    }
  })
})
