/** The part of the ONNX format that Weir writes, as plain data (onnx.proto3, IR version 8). */
export type ElementType = 'float32' | 'float64' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool'

export type TensorData =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | Int32Array
  | Int8Array
  | Uint8Array

export interface OnnxTensor {
  readonly type: ElementType
  /** [] is a scalar */
  readonly shape: readonly number[]
  readonly data: TensorData
}

export interface OnnxValue {
  readonly name: string
  readonly type: ElementType
  /** a string is a symbolic dimension, such as the batch */
  readonly shape: readonly (number | string)[]
}

export type OnnxAttribute =
  | { readonly int: number }
  | { readonly float: number }
  | { readonly string: string }
  | { readonly ints: readonly number[] }
  | { readonly floats: readonly number[] }
  | { readonly tensor: OnnxTensor }
  | { readonly graph: OnnxGraph }

export interface OnnxNode {
  readonly op: string
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  readonly attributes?: Readonly<Record<string, OnnxAttribute>>
}

export interface OnnxGraph {
  readonly name: string
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  readonly initializers: ReadonlyMap<string, OnnxTensor>
  readonly nodes: readonly OnnxNode[]
}

export interface OnnxModel {
  readonly graph: OnnxGraph
  readonly metadata?: Readonly<Record<string, string>>
}

/** Opset 17 is the newest that both onnxruntime 1.16+ and Debian's python3-onnx support. */
export const OPSET = 17
