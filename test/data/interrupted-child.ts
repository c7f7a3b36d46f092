import { writeSync } from 'node:fs'
import type { Progress } from '../../core/progress.ts'
import { encodeToCache } from '../../data/embedding-cache.ts'
import { ingest } from '../../data/ingest.ts'
import { hashEncoder } from './hash-encoder.ts'

/** Run by the test of interruptions, which kills it at one of the lines it prints. */
const [job, from, to] = process.argv.slice(2)
const onProgress = ({ stage, done }: Progress): void => {
  writeSync(1, `${stage} ${done}\n`)
}
if (job === 'ingest') await ingest([from!], { out: to!, seed: 3, onProgress })
else {
  const prompts = [...Array(Number(from)).keys()].map((i) => `prompt ${i}`)
  await encodeToCache(prompts, hashEncoder('dense'), { folder: to!, onProgress })
}
