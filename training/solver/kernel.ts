import { LOGISTIC_KERNEL } from './logistic-kernel.ts'

/** The solver's WebAssembly kernels (logistic-kernel.wat), with memory of their own. */
export interface Kernel {
  /** Float32 arrays in the kernel's memory, 16-byte aligned, of these lengths. */
  allocate(lengths: readonly number[]): Float32Array[]
  /** z[i] = x[i] . w; pointers in bytes, `stride` bytes a row (times 16), `rows` a multiple of 4 */
  dots(x: number, stride: number, rows: number, w: number, z: number): void
  /** g += sum of r[i] x[i]; as above */
  accumulate(x: number, stride: number, rows: number, r: number, g: number): void
}

interface KernelExports extends Pick<Kernel, 'dots' | 'accumulate'> {
  readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number }
}

/** What is used of WebAssembly, whose types come with the DOM's only. */
interface WebAssemblyApi {
  compile(binary: Uint8Array): Promise<object>
  instantiate(module: object): Promise<{ readonly exports: unknown }>
}
const { WebAssembly: wasm } = globalThis as unknown as { WebAssembly: WebAssemblyApi }

const PAGE = 65_536
const ALIGNMENT = 16
let compiling: Promise<object> | undefined

/** @param bytes what will be allocated in all, before alignment */
export async function openKernel(bytes: number): Promise<Kernel> {
  compiling ??= wasm.compile(Buffer.from(LOGISTIC_KERNEL, 'base64'))
  const instance = await wasm.instantiate(await compiling)
  const { memory, dots, accumulate } = instance.exports as KernelExports
  memory.grow(Math.ceil(bytes / PAGE) + 1)
  return {
    dots,
    accumulate,
    allocate(lengths) {
      let at = 0
      return lengths.map((length) => {
        const array = new Float32Array(memory.buffer, at, length)
        at = Math.ceil((at + length * 4) / ALIGNMENT) * ALIGNMENT
        return array
      })
    },
  }
}
