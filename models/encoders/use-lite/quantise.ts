/** A matrix as unsigned bytes: value = (byte - zero) * scale, with one scale per column or row. */
export interface QuantisedMatrix {
  readonly bytes: Uint8Array
  readonly scales: Float32Array
  readonly zero: number
}

const ZERO = 128
const LARGEST = 127

/** Symmetric, one scale for each of the m columns of a [k, m] matrix. */
export function quantiseColumns(values: Float32Array, k: number, m: number): QuantisedMatrix {
  return quantise(values, m, (index) => index % m, k * m)
}

/** Symmetric, one scale for each of the k rows of a [k, m] matrix. */
export function quantiseRows(values: Float32Array, k: number, m: number): QuantisedMatrix {
  return quantise(values, k, (index) => Math.floor(index / m), k * m)
}

function quantise(
  values: Float32Array,
  groups: number,
  groupOf: (index: number) => number,
  size: number,
): QuantisedMatrix {
  const scales = new Float32Array(groups)
  for (let i = 0; i < size; i++) {
    const group = groupOf(i)
    scales[group] = Math.max(scales[group]!, Math.abs(values[i]!) / LARGEST)
  }
  const bytes = new Uint8Array(size)
  for (let i = 0; i < size; i++) {
    const scale = scales[groupOf(i)]!
    bytes[i] = ZERO + (scale === 0 ? 0 : Math.round(values[i]! / scale))
  }
  return { bytes, scales, zero: ZERO }
}
