import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { dirname, join } from 'node:path'
import { type Block, blocksOf, type Command, commandsOf, missingLine } from './page.ts'

/** Ports that pages print; where one is taken on this machine, another is used in its place. */
const PORTS = [8080, 8081, 8082, 8099]
const READY = /https?:\/\/(?:127\.0\.0\.1|localhost):\d+/
const LONGEST_MS = 600_000

/** A block of a page that does not do what the page says. */
export class PageFault extends Error {
  override readonly name = 'PageFault'
}

interface Running {
  readonly child: ChildProcess
  /** everything that it has printed */
  output: string
  /** its exit code, or undefined while it runs */
  readonly ended: Promise<number>
}

/** Runs the blocks of a page as somebody would who follows it, in one folder and one shell's environment. */
export class PageSession {
  private readonly folder: string
  private readonly env: Record<string, string>
  private readonly servers: Running[] = []
  private readonly ports: ReadonlyMap<number, number>

  private constructor(
    folder: string,
    env: Readonly<Record<string, string>>,
    ports: ReadonlyMap<number, number>,
  ) {
    this.folder = folder
    this.env = { ...env }
    this.ports = ports
  }

  static async open(folder: string, env: Readonly<Record<string, string>>): Promise<PageSession> {
    const ports = new Map<number, number>()
    for (const port of PORTS) ports.set(port, (await freePort(port)) ?? (await freePort(0))!)
    return new PageSession(folder, env, ports)
  }

  /**
   * Writes the page's files and runs its commands, in order.
   *
   * @returns how many commands ran
   * @throws PageFault at the first one that fails or prints something else
   */
  async run(name: string, markdown: string): Promise<number> {
    let commands = 0
    for (const block of blocksOf(markdown)) {
      if (block.file !== undefined) await this.write(block, block.file)
      if (block.language !== 'sh' && block.language !== 'console') continue
      for (const command of commandsOf(block)) {
        await this.command(name, command)
        commands++
      }
    }
    return commands
  }

  /** Ends what still runs. */
  async close(): Promise<void> {
    for (const { child, ended } of this.servers.splice(0).reverse()) {
      kill(child, 'SIGTERM')
      const timer = setTimeout(() => kill(child, 'SIGKILL'), 10_000)
      await ended
      clearTimeout(timer)
    }
  }

  private async write({ text }: Block, file: string): Promise<void> {
    const path = join(this.folder, file)
    await mkdir(dirname(path), { recursive: true })
    await writeFile(path, `${this.withPorts(text)}\n`)
  }

  private async command(page: string, command: Command): Promise<void> {
    const where = `${page}:${command.line}: ${command.text}`
    const exported = command.text.match(/^export (\w+)=(\S+)/)
    if (exported) {
      this.env[exported[1]!] = exported[2]!
      return
    }
    // the folder has its packages; in a folder of links, this would replace somebody else's
    if (/^npm (?:ci|i|install)\b/.test(command.text)) return
    const running = this.start(command)
    if (command.background) {
      this.servers.push(running)
      await this.ready(running, where)
    } else {
      const timer = setTimeout(() => kill(running.child, 'SIGKILL'), LONGEST_MS)
      const code = await running.ended
      clearTimeout(timer)
      if (code !== 0) throw new PageFault(`${where}\nended with ${code}:\n${tail(running.output)}`)
    }
    const expected = command.expected.map((line) => this.withPorts(line))
    const missing = missingLine(expected, running.output.split('\n'))
    if (missing === undefined) return
    throw new PageFault(`${where}\nexpected the line\n  ${missing}\ngot\n${tail(running.output)}`)
  }

  private start({ text }: Command): Running {
    // in the order of a terminal, which shows both
    const script = `exec 2>&1\n${this.withPorts(this.withPortOption(text))}`
    const child = spawn('bash', ['-euo', 'pipefail', '-c', script], {
      cwd: this.folder,
      env: this.env,
      stdio: ['ignore', 'pipe', 'ignore'],
      // its own group, so that what it starts ends with it
      detached: true,
    })
    const ended = new Promise<number>((done, failed) => {
      child.once('error', failed)
      child.once('close', (code) => done(code ?? -1))
    })
    const running: Running = { child, output: '', ended }
    child.stdout.on('data', (data: Buffer) => {
      running.output += data
    })
    return running
  }

  /** The stand-in's port is printed nowhere on its command. */
  private withPortOption(text: string): string {
    const port = this.ports.get(8099)!
    return port === 8099 ? text : text.replace(/^npm run stand-in(?! --)/, `$& -- --port ${port}`)
  }

  private async ready(running: Running, where: string): Promise<void> {
    let code: number | undefined
    void running.ended.then((ended) => {
      code = ended
    })
    const until = Date.now() + 120_000
    while (!READY.test(running.output)) {
      if (code !== undefined || Date.now() > until) {
        throw new PageFault(`${where}\ndid not start:\n${tail(running.output)}`)
      }
      await new Promise((done) => setTimeout(done, 50))
    }
  }

  private withPorts(text: string): string {
    let result = text
    for (const [printed, port] of this.ports) result = result.replaceAll(`${printed}`, `${port}`)
    return result
  }
}

function kill({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid!, signal)
  } catch {
    // it has ended
  }
}

function freePort(port: number): Promise<number | undefined> {
  return new Promise((done) => {
    const server = createServer()
    server.once('error', () => done(undefined))
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => done(typeof address === 'object' ? address?.port : undefined))
    })
  })
}

const tail = (output: string): string => output.trimEnd().split('\n').slice(-30).join('\n')
