import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { createRandom } from '../../../core/random.ts'
import { kernelModule } from '../../../scripts/build-kernel.ts'
import { openKernel } from '../../../training/solver/logistic-dense.ts'

const folder = new URL('../../../training/solver/', import.meta.url)

test('the committed kernel is its source assembled', async () => {
  const source = readFileSync(new URL('logistic-kernel.wat', folder), 'utf8')
  const committed = readFileSync(new URL('logistic-kernel.ts', folder), 'utf8')
  expect(committed).toBe(await kernelModule(source))
})

test('dots and accumulate are the sums they say they are', async () => {
  const [rows, d] = [12, 20]
  const kernel = await openKernel(4 * (rows * d + 2 * d + 2 * rows))
  const random = createRandom(1)
  const [x, w, g, z, r] = kernel.allocate([rows * d, d, d, rows, rows]) as Float32Array[]
  for (const array of [x!, w!, g!, r!]) {
    for (let i = 0; i < array.length; i++) array[i] = random.normal()
  }
  const before = g!.slice()
  kernel.dots(x!.byteOffset, d * 4, rows, w!.byteOffset, z!.byteOffset)
  kernel.accumulate(x!.byteOffset, d * 4, rows, r!.byteOffset, g!.byteOffset)
  for (let i = 0; i < rows; i++) {
    const dot = w!.reduce((sum, value, j) => sum + value * x![i * d + j]!, 0)
    expect(z![i]).toBeCloseTo(dot, 4)
  }
  for (let j = 0; j < d; j++) {
    const sum = r!.reduce((total, value, i) => total + value * x![i * d + j]!, before[j]!)
    expect(g![j]).toBeCloseTo(sum, 4)
  }
})
