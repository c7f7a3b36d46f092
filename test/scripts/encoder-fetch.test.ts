import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeHf } from '../../models/encoders/hf/encoder.ts'
import { fetchEncoder } from '../../scripts/cli/encoder-fetch.ts'
import { writeTinyModel } from '../models/encoders/hf/tiny-model.ts'

let root: string
let server: Server
let endpoint: string
const asked: string[] = []
/** path in the repository -> bytes */
const repository = new Map<string, Buffer>()

/** The two calls of the hub's protocol that fetching needs: list a tree, and read a file with its etag. */
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'weir-fetch-'))
  const model = join(root, 'model')
  await writeTinyModel(model)
  for (const entry of await readdir(model, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue
    const path = join(entry.parentPath, entry.name)
    repository.set(path.slice(model.length + 1), await readFile(path))
  }
  repository.set('pytorch_model.bin', Buffer.alloc(100))
  repository.set('README.md', Buffer.from('# tiny'))
  server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '', 'http://hub')
    if (pathname === '/api/models/tiny/encoder/tree/main') {
      const tree = [...repository].map(([path, { length }]) => ({
        type: 'file',
        path,
        size: length,
      }))
      response.end(JSON.stringify(tree))
      return
    }
    const bytes = repository.get(pathname.replace('/tiny/encoder/resolve/main/', ''))
    if (!bytes) {
      response.statusCode = 404
      response.end()
      return
    }
    if (request.method === 'GET') asked.push(pathname)
    const etag = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex')
    response.setHeader('etag', `"${etag}"`)
    response.setHeader('content-length', bytes.length)
    response.end(request.method === 'HEAD' ? undefined : bytes)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(async () => {
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
  await rm(root, { recursive: true, force: true })
})

describe('fetching an encoder', () => {
  it('downloads its graph, tokenizer and configuration, nothing else, and it runs', async () => {
    const fetched = await fetchEncoder('tiny/encoder', { folder: join(root, 'a'), endpoint })
    const names = fetched.files.map(({ path }) => path.slice(fetched.folder.length + 1))
    expect(names.sort()).toEqual([
      '1_Pooling/config.json',
      'config.json',
      'modules.json',
      'onnx/model.onnx',
      'sentence_bert_config.json',
      'tokenizer.json',
      'tokenizer_config.json',
    ])
    const { encoder } = await makeHf(fetched.folder)
    expect((await encoder.encode(['what is it'])).embeddings.dimension).toBe(8)
    await encoder.close?.()
  })

  it('downloads nothing twice', async () => {
    const folder = join(root, 'b')
    await fetchEncoder('tiny/encoder', { folder, endpoint })
    asked.length = 0
    const again = await fetchEncoder('tiny/encoder', { folder, endpoint })
    expect(asked).toEqual([])
    expect(again.files.every(({ downloaded }) => !downloaded)).toBe(true)
  })

  it('says what a repository lacks, and refuses names that are none', async () => {
    const folder = join(root, 'c')
    await expect(
      fetchEncoder('tiny/encoder', { folder, endpoint, file: 'onnx/model_q4.onnx' }),
    ).rejects.toThrow(/onnx\/model_q4\.onnx/)
    for (const name of ['no-owner', 'hf://datasets/a/b', '../../etc/passwd']) {
      await expect(fetchEncoder(name, { folder, endpoint })).rejects.toMatchObject({
        code: 'option_invalid',
      })
    }
  })
})
