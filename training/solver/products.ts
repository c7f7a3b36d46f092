import { GraphBuilder } from '../../models/onnx/builder.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { createSession, openOrt } from '../../models/onnx/session.ts'
import type { DenseMatrix } from './dense-matrix.ts'

/** Products of dense matrices, computed by ONNX Runtime. */
export interface Products {
  /** A B; A' B if `turned` is `left`, A B' if it is `right` */
  multiply(a: DenseMatrix, b: DenseMatrix, turned?: 'left' | 'right'): Promise<DenseMatrix>
  close(): Promise<void>
}

const FORMS = ['neither', 'left', 'right'] as const

export async function openProducts(threads: number): Promise<Products> {
  const ort = await openOrt()
  const sessions = new Map(
    await Promise.all(
      FORMS.map(async (form) => [form, await createSession(gemm(form), { threads })] as const),
    ),
  )
  return {
    async multiply(a, b, turned) {
      const tensor = ({ rows, columns, values }: DenseMatrix) =>
        new ort.Tensor('float32', values, [rows, columns])
      const { c } = await sessions.get(turned ?? 'neither')!.run({ a: tensor(a), b: tensor(b) })
      return {
        rows: turned === 'left' ? a.columns : a.rows,
        columns: turned === 'right' ? b.rows : b.columns,
        // copied, so that it outlives the session
        values: (c!.data as Float32Array).slice(),
      }
    },
    async close() {
      for (const session of sessions.values()) await session.release()
    },
  }
}

function gemm(form: (typeof FORMS)[number]): Uint8Array {
  const builder = new GraphBuilder()
  const a = builder.input('a', 'float32', ['i', 'j'])
  const b = builder.input('b', 'float32', ['k', 'l'])
  const product = builder.node('Gemm', [a, b], {
    transA: { int: form === 'left' ? 1 : 0 },
    transB: { int: form === 'right' ? 1 : 0 },
  })
  builder.output(product, 'float32', ['m', 'n'], 'c')
  return encodeOnnx({ graph: builder.finish('product') })
}
