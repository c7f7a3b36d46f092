import { type ChildProcess, spawn } from 'node:child_process'
import { open, readdir, readFile, stat, truncate } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { WeirError } from '../../core/errors.ts'
import { makeFolders } from '../../core/files.ts'
import type { Answered, Asked, Handlers, Job } from '../../serving/server/console/contract.ts'

/** Lines of a child's output that are kept. */
const LINES = 40
/** Longest wait for a log to be explained, in milliseconds. */
const EXPLAIN_MS = 120_000
const OUTPUT_LIMIT = 4_000_000

interface RunningJob {
  job: Job
  readonly reportPath: string
  child: ChildProcess | undefined
}

/** Dropped logs and training runs of `weir console`, each run a child process, in one folder. */
export class Workbench {
  private readonly folder: string
  /** by name: those of the command line, wherever they are */
  private readonly given: ReadonlyMap<string, string>
  private readonly jobs = new Map<string, RunningJob>()

  private constructor(folder: string, paths: readonly string[]) {
    this.folder = folder
    this.given = new Map(paths.map((path) => [basename(path), resolve(path)]))
  }

  static async open(folder: string, paths: readonly string[]): Promise<Workbench> {
    return new Workbench(resolve(folder), paths)
  }

  readonly handlers: Handlers = {
    data: () => this.list(),
    data_put: (asked) => this.put(asked),
    data_explain: (asked) => this.explain(asked),
    data_train: (asked) => this.train(asked),
    data_stop: ({ id }) => {
      const running = this.jobOf(id)
      if (running.job.state === 'running') {
        running.job = { ...running.job, state: 'stopped' }
        running.child?.kill('SIGTERM')
      }
      return running.job
    },
  }

  async report(id: string): Promise<string | undefined> {
    const found = this.jobs.get(id)
    return found?.job.report ? readFile(found.reportPath, 'utf8') : undefined
  }

  /** Stops what runs. */
  async close(): Promise<void> {
    for (const { child } of this.jobs.values()) child?.kill('SIGTERM')
  }

  private get logs(): string {
    return join(this.folder, 'logs')
  }

  private async list(): Promise<Answered<'data'>> {
    const dropped = await readdir(this.logs).catch((): string[] => [])
    const paths = new Map([
      ...dropped.map((name) => [name, join(this.logs, name)] as const),
      ...this.given,
    ])
    const files = await Promise.all(
      [...paths].map(async ([name, path]) => ({ name, bytes: (await stat(path)).size })),
    )
    return {
      folder: this.folder,
      files,
      jobs: [...this.jobs.values()].map(({ job }) => job).reverse(),
    }
  }

  private async put({ name, offset, part }: Asked<'data_put'>): Promise<Answered<'data_put'>> {
    if (this.given.has(name)) {
      const expected = 'a name that no log of the command line has'
      throw new WeirError('request_invalid', { where: 'name', expected, got: name })
    }
    makeFolders(this.logs)
    const path = join(this.logs, name)
    const held = await stat(path).then(
      ({ size }) => size,
      () => 0,
    )
    // the first part of a file replaces what was dropped under its name before
    if (offset === 0 && held > 0) await truncate(path, 0)
    else if (offset !== held) {
      throw new WeirError('request_invalid', { where: 'offset', expected: held, got: offset })
    }
    const bytes = Buffer.from(part, 'base64')
    const file = await open(path, offset === 0 ? 'w' : 'a', 0o600)
    try {
      await file.write(bytes)
    } finally {
      await file.close()
    }
    return { bytes: offset + bytes.length }
  }

  private async pathOf(name: string): Promise<string> {
    const given = this.given.get(name)
    if (given !== undefined) return given
    const dropped = await readdir(this.logs).catch((): string[] => [])
    if (dropped.includes(name)) return join(this.logs, name)
    throw new WeirError('file_not_found', { path: name })
  }

  private async explain({
    name,
    strong,
    weak,
  }: Asked<'data_explain'>): Promise<Answered<'data_explain'>> {
    const path = await this.pathOf(name)
    const pair =
      strong !== undefined && weak !== undefined ? [`--strong=${strong}`, `--weak=${weak}`] : []
    const [read, holds, json] = await Promise.all([
      outputOf(['data', 'ingest', path, '--explain']),
      outputOf(['data', 'inspect', path, ...pair]),
      outputOf(['data', 'inspect', path, '--json']),
    ])
    return {
      ...{ read: read.text, holds: holds.text, failed: read.failed || holds.failed },
      models: json.failed ? [] : modelsOf(json.text),
    }
  }

  private jobOf(id: string): RunningJob {
    const found = this.jobs.get(id)
    if (found) return found
    throw new WeirError('request_invalid', { where: 'id', expected: 'a training run', got: id })
  }

  private async train({ name, strong, weak, router }: Asked<'data_train'>): Promise<Job> {
    const busy = [...this.jobs.values()].find(({ job }) => job.state === 'running')
    if (busy) {
      const expected = 'no other training run at the same time'
      throw new WeirError('request_invalid', { where: 'data_train', expected, got: busy.job.name })
    }
    const path = await this.pathOf(name)
    makeFolders(this.folder)
    const id = String(this.jobs.size + 1)
    const bundles = join(this.folder, 'bundles')
    const bundle = join(bundles, router)
    const reportPath = join(this.folder, `report-${id}.html`)
    const commands = [
      ['train', path, `--strong=${strong}`, `--weak=${weak}`, '--out', bundles, '--name', router],
      ['evaluate', bundle, path, '--report', reportPath],
    ]
    const running: RunningJob = {
      job: {
        ...{ id, name: router, state: 'running', lines: [], bundle: null, report: false },
        commands: commands.map((args) => `weir ${args.map(quoted).join(' ')}`),
        started: Date.now(),
      },
      reportPath,
      child: undefined,
    }
    this.jobs.set(id, running)
    void this.follow(running, commands, bundle)
    return running.job
  }

  /** Runs the commands one after the other; the job says how far they are. */
  private async follow(
    running: RunningJob,
    commands: readonly (readonly string[])[],
    bundle: string,
  ): Promise<void> {
    for (const [i, args] of commands.entries()) {
      const code = await this.runOne(running, args)
      if (running.job.state === 'stopped') return
      if (code !== 0) {
        running.job = { ...running.job, state: 'failed' }
        return
      }
      running.job =
        i === 0 ? { ...running.job, bundle } : { ...running.job, report: true, state: 'done' }
    }
  }

  private runOne(running: RunningJob, args: readonly string[]): Promise<number | null> {
    const child = weir(args)
    running.child = child
    const hear = (chunk: Buffer): void => {
      const said = chunk
        .toString('utf8')
        .split(/[\r\n]+/)
        .filter((line) => line.trim() !== '')
      running.job = { ...running.job, lines: [...running.job.lines, ...said].slice(-LINES) }
    }
    child.stdout!.on('data', hear)
    child.stderr!.on('data', hear)
    return new Promise((settle) => {
      child.once('error', (error) => {
        hear(Buffer.from(error.message))
        settle(1)
      })
      child.once('close', (code) => {
        running.child = undefined
        settle(code)
      })
    })
  }
}

/** This program again, with other arguments. */
const weir = (args: readonly string[]): ChildProcess =>
  spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })

/** What a command prints, with its errors; never throws. */
function outputOf(
  args: readonly string[],
): Promise<{ readonly text: string; readonly failed: boolean }> {
  const child = weir(args)
  let text = ''
  const hear = (chunk: Buffer): void => {
    if (text.length < OUTPUT_LIMIT) text += chunk.toString('utf8')
  }
  child.stdout!.on('data', hear)
  let errors = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    errors = `${errors}${chunk.toString('utf8')}`.slice(-20_000)
  })
  const limit = setTimeout(() => child.kill('SIGTERM'), EXPLAIN_MS)
  return new Promise((settle) => {
    const end = (failed: boolean): void => {
      clearTimeout(limit)
      settle({ text: failed ? `${text}${errors}` : text, failed })
    }
    child.once('error', () => end(true))
    child.once('close', (code) => end(code !== 0))
  })
}

function modelsOf(json: string): string[] {
  try {
    const { models } = JSON.parse(json) as { models?: { model: string }[] }
    return (models ?? []).map(({ model }) => model)
  } catch {
    return []
  }
}

/** An argument as a shell takes it. */
const quoted = (argument: string): string =>
  /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", `'\\''`)}'`
