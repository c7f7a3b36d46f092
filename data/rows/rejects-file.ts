import { once } from 'node:events'
import { createWriteStream, type WriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { originText, type Reject } from './reader.ts'

/** The file for refused rows, one JSON object per line; it is created only if there are any. */
export class RejectsFile {
  readonly path: string
  count = 0
  /** the first reject as a one-line message */
  first: string | undefined
  private stream: WriteStream | undefined
  private failure: Error | undefined

  constructor(path: string) {
    this.path = path
  }

  /** Removes the file of an earlier run. */
  async start(): Promise<void> {
    await rm(this.path, { force: true })
  }

  async write({ origin, field, reason }: Reject): Promise<void> {
    if (!this.stream) {
      this.stream = createWriteStream(this.path)
      this.stream.on('error', (error) => {
        this.failure = error
      })
    }
    if (this.failure) throw this.failure
    this.count++
    this.first ??= `${originText(origin)}: ${field}: ${reason}`
    const place =
      origin.rowGroup === undefined
        ? { line: origin.line }
        : { row_group: origin.rowGroup, row: origin.line }
    const item = origin.item === undefined ? {} : { item: origin.item }
    const line = JSON.stringify({ file: origin.path, ...place, ...item, field, reason })
    if (!this.stream.write(`${line}\n`)) await once(this.stream, 'drain')
  }

  async close(): Promise<void> {
    const { stream } = this
    if (!stream) return
    await new Promise<void>((resolve) => stream.end(resolve))
    if (this.failure) throw this.failure
  }
}
