import type { Tensor } from '../../models/families/family.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { stepSchedule } from './adam.ts'
import { INPUT, LOSSES, next } from './batch-loss.ts'
import {
  type Batches,
  type Block,
  meanLoss,
  packBlock,
  planBatches,
  planBlocks,
  unpackBlock,
} from './batches.ts'
import type { Engine, FitData, FitOptions, FitResult, FitRows, FitSpec } from './engine.ts'
import { epochGraph, evaluationGraph, gradientGraph } from './epoch-graph.ts'
import { fitFingerprint, runEpochs } from './epochs.ts'

import { SessionClient, type WireTensor } from './session-client.ts'

const EVALUATION_BATCH = 1024

/** Trains with onnxruntime-node: an epoch is one run of one graph, in a separate thread. */
export function createOnnxEngine(): Engine {
  return {
    name: 'onnx',
    fit: async (spec, data, options) => {
      const client = new SessionClient()
      try {
        return await fitWith(client, spec, data, options)
      } finally {
        await client.close()
      }
    },
    gradients: async (spec, rows) => {
      const client = new SessionClient()
      try {
        return await gradients(client, spec, rows)
      } finally {
        await client.close()
      }
    },
    close: async () => {},
  }
}

async function fitWith(
  client: SessionClient,
  spec: FitSpec,
  data: FitData,
  options: FitOptions,
): Promise<FitResult> {
  const { train, validation } = data
  const { threads } = options
  const validationBatches = planBatches(validation, EVALUATION_BATCH)
  const { batchSize } = planBatches(train, options.batchSize)
  const model = encodeOnnx(epochGraph(spec, train, batchSize))
  const version = await client.load('epoch', model, threads)
  const evaluation = evaluationGraph(spec, validation, validationBatches.batchSize)
  await client.load('evaluation', encodeOnnx(evaluation), threads)
  const backend = `onnxruntime-node ${version}, ${threads} thread${threads === 1 ? '' : 's'}`

  const blocks = planBlocks(spec.parameters)
  const blockNames = blocks.map(({ name }) => INPUT.parameter(name))
  const stateNames = blocks.flatMap(({ name }) => [
    INPUT.parameter(name),
    INPUT.first(name),
    INPUT.second(name),
  ])
  for (const block of blocks) {
    const { name, shape } = block
    const values = packBlock(block, spec.parameters)
    await client.keep(INPUT.parameter(name), { shape, values })
    const zeros = { shape, values: new Float32Array(values.length) }
    await client.keep(INPUT.first(name), zeros)
    await client.keep(INPUT.second(name), zeros)
  }
  const fingerprint = options.checkpoint ? fitFingerprint(backend, spec, data, options) : ''
  const held = await holdRows(client, { train, validation }, options.consumeTables)
  const byOwnName = (names: readonly string[]) => Object.fromEntries(names.map((n) => [n, n]))

  const fitted = await runEpochs(
    {
      train: async (epoch) => {
        const batches = planBatches(train, batchSize, { seed: options.seed, epoch })
        const taken = (epoch - 1) * batches.steps
        const schedule = stepSchedule(batches.steps, taken, options.learningRate)
        const shape = [batches.steps]
        const outputs = await client.run('epoch', {
          feeds: {
            ...batchFeeds(batches),
            [INPUT.stepSize]: { shape, values: schedule.stepSize },
            [INPUT.epsilon]: { shape, values: schedule.epsilon },
          },
          kept: { ...byOwnName(stateNames), ...held.train },
          keep: Object.fromEntries(stateNames.map((name) => [next(name), name])),
          fetch: [LOSSES],
        })
        return meanLoss(floats(outputs[LOSSES]), batches.weight)
      },
      validate: async () => {
        const outputs = await client.run('evaluation', {
          feeds: batchFeeds(validationBatches),
          kept: { ...byOwnName(blockNames), ...held.validation },
          keep: {},
          fetch: [LOSSES],
        })
        return meanLoss(floats(outputs[LOSSES]), validationBatches.weight)
      },
      parameters: async () => {
        const read = await client.read(blockNames)
        const values = (block: Block) => floats(read[INPUT.parameter(block.name)])
        return Object.fromEntries(blocks.flatMap((block) => unpackBlock(block, values(block))))
      },
      state: async () => {
        const read = await client.read(stateNames)
        return Object.fromEntries(
          stateNames.map((name) => [
            name,
            { shape: read[name]!.shape, values: floats(read[name]) },
          ]),
        )
      },
      restore: async (state) => {
        for (const name of stateNames) await client.keep(name, state[name]!)
      },
    },
    options,
    fingerprint,
  )
  return { ...fitted, backend }
}

async function gradients(client: SessionClient, spec: FitSpec, rows: FitRows) {
  await client.load('gradient', encodeOnnx(gradientGraph(spec, rows)), 1)
  const batches = planBatches(rows, rows.rows)
  const parameters: Record<string, WireTensor> = {}
  for (const [name, { shape, values }] of Object.entries(spec.parameters)) {
    parameters[INPUT.parameter(name)] = { shape, values }
  }
  const outputs = await client.run('gradient', {
    feeds: { ...batchFeeds(batches), ...parameters },
    kept: (await holdRows(client, { rows })).rows!,
    keep: {},
    fetch: [LOSSES, ...Object.keys(parameters).map(next)],
  })
  let loss = meanLoss(floats(outputs[LOSSES]), batches.weight)
  for (const { values, l2 } of Object.values(spec.parameters)) {
    if (l2 > 0) loss += (l2 / 2) * values.reduce((sum, value) => sum + value * value, 0)
  }
  return { loss, gradients: toTensors(spec, (name) => outputs[next(INPUT.parameter(name))]) }
}

function batchFeeds(batches: Batches): Record<string, WireTensor> {
  const shape = [batches.steps, batches.batchSize]
  return {
    [INPUT.steps]: { shape: [], values: BigInt64Array.of(BigInt(batches.steps)) },
    [INPUT.order]: { shape, values: batches.order },
    [INPUT.weight]: { shape, values: batches.weight },
  }
}

function toTensors(
  spec: FitSpec,
  read: (name: string) => WireTensor | undefined,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(spec.parameters).map(([name, { shape }]) => [
      name,
      { shape, values: floats(read(name)) },
    ]),
  )
}

function floats(tensor: WireTensor | undefined): Float32Array {
  if (!(tensor?.values instanceof Float32Array)) throw new TypeError('expected float32 values')
  return tensor.values
}

/** Graph input -> the name under which the worker holds its values. */
export type HeldInputs = Readonly<Record<string, string>>

/**
 * Sends columns and tables to the worker; a table that several sets share is sent once.
 *
 * @param consume transfers the tables' memory instead of copying it
 */
async function holdRows<Name extends string>(
  client: SessionClient,
  sets: Readonly<Record<Name, FitRows>>,
  consume = false,
): Promise<Record<Name, HeldInputs>> {
  const tables = new Map<Float32Array, string>()
  const held: [string, HeldInputs][] = []
  for (const [set, rows] of Object.entries<FitRows>(sets)) {
    const inputs: Record<string, string> = {}
    const hold = async (input: string, tensor: WireTensor, moved = false): Promise<void> => {
      inputs[input] = `${set} ${input}`
      await client.keep(`${set} ${input}`, tensor, moved)
    }
    for (const [name, values] of Object.entries(rows.columns)) {
      await hold(INPUT.column(name), { shape: [rows.rows], values })
    }
    for (const [name, { table, index }] of Object.entries(rows.lookups)) {
      await hold(INPUT.index(name), { shape: [rows.rows], values: index })
      const known = tables.get(table.values)
      if (known !== undefined) inputs[INPUT.table(name)] = known
      else {
        await hold(INPUT.table(name), table, consume)
        tables.set(table.values, inputs[INPUT.table(name)]!)
      }
    }
    held.push([set, inputs])
  }
  return Object.fromEntries(held) as Record<Name, HeldInputs>
}
