import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import loadWabt from 'wabt'

/** The TypeScript module that holds an assembled WebAssembly text file. */
export async function kernelModule(source: string): Promise<string> {
  const wabt = await loadWabt()
  const parsed = wabt.parseWat('logistic-kernel.wat', source, { simd: true })
  const { buffer } = parsed.toBinary({})
  parsed.destroy()
  const lines =
    Buffer.from(buffer)
      .toString('base64')
      .match(/.{1,88}/g) ?? []
  return `/** logistic-kernel.wat assembled, by \`npm run build:kernel\`; do not edit. */
export const LOGISTIC_KERNEL =
${lines.map((line) => `  '${line}'`).join(' +\n')}
`
}

// `npm run build:kernel` assembles the solver's WebAssembly; a test checks that it was run
if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const folder = new URL('../training/solver/', import.meta.url)
  const source = readFileSync(new URL('logistic-kernel.wat', folder), 'utf8')
  writeFileSync(new URL('logistic-kernel.ts', folder), await kernelModule(source))
}
