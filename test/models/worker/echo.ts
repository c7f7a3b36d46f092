import { parentPort, workerData } from 'node:worker_threads'
import { sigmoid } from '../../../models/linear-head.ts'

parentPort!.on('message', (value: number) => parentPort!.postMessage(sigmoid(value) + workerData))
