import type { Tensor } from '../../models/family.ts'
import { encodeOnnx } from '../../models/onnx/encode.ts'
import { stepSchedule } from './adam.ts'
import { type Batches, meanLoss, planBatches } from './batches.ts'
import { packBlock, planBlocks, unpackBlock } from './blocks.ts'
import type { Engine, FitData, FitOptions, FitRows, FitSpec } from './engine.ts'
import { epochGraph, evaluationGraph, gradientGraph, INPUT, LOSSES, next } from './epoch-graph.ts'
import { runEpochs } from './epochs.ts'
import { SessionClient, type WireTensor } from './session-client.ts'

const EVALUATION_BATCH = 1024

/** Trains on onnxruntime-node: an epoch is one run of one graph, in a thread of its own. */
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

async function fitWith(client: SessionClient, spec: FitSpec, data: FitData, options: FitOptions) {
  const { train, validation } = data
  const validationBatches = planBatches(validation, EVALUATION_BATCH)
  const { batchSize } = planBatches(train, options.batchSize)
  const { threads } = options
  const model = encodeOnnx(epochGraph(spec, train, batchSize))
  const version = await client.load('epoch', model, threads)
  const evaluation = evaluationGraph(spec, validation, validationBatches.batchSize)
  await client.load('evaluation', encodeOnnx(evaluation), threads)

  const blocks = planBlocks(spec.parameters)
  const carried = blocks.flatMap(({ name }) => [
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
  const state = Object.fromEntries(carried.map((name) => [name, name]))
  const keep = Object.fromEntries(carried.map((name) => [next(name), name]))
  const held = Object.fromEntries(
    blocks.map(({ name }) => [INPUT.parameter(name), INPUT.parameter(name)]),
  )
  const trainInputs = await keepRows(client, train, 'train')
  const validationInputs = await keepRows(client, validation, 'validation', { train, trainInputs })

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
          kept: { ...state, ...trainInputs },
          keep,
          fetch: [LOSSES],
        })
        return meanLoss(floats(outputs[LOSSES]), batches.weight)
      },
      validate: async () => {
        const outputs = await client.run('evaluation', {
          feeds: batchFeeds(validationBatches),
          kept: { ...held, ...validationInputs },
          keep: {},
          fetch: [LOSSES],
        })
        return meanLoss(floats(outputs[LOSSES]), validationBatches.weight)
      },
      parameters: async () => {
        const read = await client.read(Object.values(held))
        return Object.fromEntries(
          blocks.flatMap((block) => unpackBlock(block, floats(read[INPUT.parameter(block.name)]))),
        )
      },
    },
    options,
  )
  return { ...fitted, backend: `onnxruntime-node ${version}, ${threads} threads` }
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
    kept: await keepRows(client, rows, 'rows'),
    keep: {},
    fetch: [LOSSES, ...Object.keys(parameters).map(next)],
  })
  let loss = meanLoss(floats(outputs[LOSSES]), batches.weight)
  for (const { values, l2 } of Object.values(spec.parameters)) {
    if (l2 > 0) loss += (l2 / 2) * values.reduce((sum, value) => sum + value * value, 0)
  }
  return { loss, gradients: toTensors(spec, (name) => outputs[next(INPUT.parameter(name))]) }
}

/** Sends the columns and tables once; returns input name -> held name. Shared tables are sent once. */
async function keepRows(
  client: SessionClient,
  rows: FitRows,
  prefix: string,
  sent?: { train: FitRows; trainInputs: Readonly<Record<string, string>> },
): Promise<Record<string, string>> {
  const inputs: Record<string, string> = {}
  const hold = async (input: string, tensor: WireTensor): Promise<void> => {
    inputs[input] = `${prefix} ${input}`
    await client.keep(`${prefix} ${input}`, tensor)
  }
  for (const [name, values] of Object.entries(rows.columns)) {
    await hold(INPUT.column(name), { shape: [rows.rows], values })
  }
  for (const [name, { table, index }] of Object.entries(rows.lookups)) {
    await hold(INPUT.index(name), { shape: [rows.rows], values: index })
    const known = sent?.trainInputs[INPUT.table(name)]
    if (known && sent.train.lookups[name]?.table.values === table.values) {
      inputs[INPUT.table(name)] = known
    } else await hold(INPUT.table(name), table)
  }
  return inputs
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
