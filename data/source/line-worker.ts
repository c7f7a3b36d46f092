import { parentPort, workerData } from 'node:worker_threads'
import type { PlacerSpec } from '../rows/placer.ts'
import { type LineBlock, type PackedBlock, readLineBlock } from './line-block.ts'

/** A thread of `LinePool`: receives a block of lines and returns its rows as columns. */
const { spec, seed } = workerData as { spec: PlacerSpec; seed: number }
const read = readLineBlock(spec, seed)

parentPort?.on('message', (block: LineBlock) => {
  const spent = block.bytes.buffer as ArrayBuffer
  const packed: PackedBlock = { ...read(block), spent }
  parentPort?.postMessage(packed, [packed.block.text.buffer as ArrayBuffer, spent])
})
