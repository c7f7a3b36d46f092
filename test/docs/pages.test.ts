import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { parseDocument } from 'yaml'
import { SpecCommand } from '../../scripts/cli/command.ts'
import { COMMANDS } from '../../scripts/cli/commands/index.ts'
import { type Block, blocksOf, commandsOf, missingLine } from '../../scripts/newcomer/page.ts'

const ROOT = resolve(import.meta.dirname, '../..')

/** Markdown files of a folder, without those that `npm run docs` installs and makes. */
function pagesUnder(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`
    if (entry.isDirectory()) {
      return /^(?:node_modules|\.vitepress|api)$/.test(entry.name) ? [] : pagesUnder(path)
    }
    return entry.name.endsWith('.md') ? [path] : []
  })
}

const PAGES = [
  ...['README.md', 'CONTRIBUTING.md', 'DESIGN.md', 'SECURITY.md', 'data/sample/README.md'],
  ...pagesUnder('docs'),
]
const text = new Map(PAGES.map((page) => [page, readFileSync(join(ROOT, page), 'utf8')]))

/** The page without its blocks and inline code, where brackets are no links. */
const prose = (markdown: string): string =>
  markdown.replace(/^(`{3,})[\s\S]*?^\1/gm, '').replace(/`[^`\n]*`/g, 'code')

/** As GitHub and the site make them of headings. */
const anchorsOf = (markdown: string): Set<string> => {
  const headings = markdown.replace(/^(`{3,})[\s\S]*?^\1/gm, '').matchAll(/^#{1,6} (.+)$/gm)
  return new Set(
    [...headings].map(([, heading]) =>
      heading!
        .toLowerCase()
        .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .trim()
        .replaceAll(' ', '-'),
    ),
  )
}

describe('links of the pages', () => {
  it.each(PAGES)('%s: lead to files and headings that are there', (page) => {
    const dead = [...prose(text.get(page)!).matchAll(/\]\(([^)\s]+)\)/g)]
      .map(([, link]) => link!)
      .filter((link) => !/^(?:https?|mailto):/.test(link))
      .filter((link) => {
        const [path, anchor] = link.split('#') as [string, string?]
        const target = path === '' ? join(ROOT, page) : resolve(ROOT, dirname(page), path)
        // made by npm run docs
        if (target.startsWith(join(ROOT, 'docs/reference/api'))) return false
        if (!existsSync(target)) return true
        if (anchor === undefined) return false
        const linked = text.get(relative(ROOT, target).replaceAll('\\', '/'))
        return linked === undefined || !anchorsOf(linked).has(anchor)
      })
    expect(dead).toEqual([])
  })
})

const commands = new Map<string, SpecCommand>()
for (const [name, load] of Object.entries(COMMANDS)) {
  const command: Command = await load()
  const under = command instanceof SpecCommand ? [command] : command.commands
  for (const one of under) {
    if (one instanceof SpecCommand) {
      commands.set(one === command ? name : `${name} ${one.name()}`, one)
    }
  }
}

/** Why `weir ...` could not be typed like this: an unknown command or option. */
function faultOf(line: string): string | undefined {
  const words = line.replace(/'[^']*'|"[^"]*"/g, 'text').split(/\s+/)
  const name = [words.slice(1, 3).join(' '), words[1] ?? ''].find((each) => commands.has(each))
  if (name === undefined) {
    // several at once, as in a table
    return words[1] === undefined || /^(?:--version|--help|COMMAND)$/.test(words[1])
      ? undefined
      : `no command ${words[1]}`
  }
  const known = commands.get(name)!.options.flatMap(({ long, short }) => [long, short])
  const unknown = words.filter((word) => /^--?[a-z]/.test(word))
  return unknown
    .map((word) => word.split('=')[0]!.replace(/[,;.)\]]+$/, ''))
    .filter((flag) => flag !== '--help' && flag !== '--json' && !known.includes(flag))
    .map((flag) => `weir ${name} has no ${flag}`)[0]
}

/** Every line of a block that starts a command of weir, comments and what it is piped into left out. */
function weirLines({ text: block }: Pick<Block, 'text'>): string[] {
  return block
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/^(?:\$ )?(?:npx )?/, ''))
    .filter((line) => /^weir [a-z]/.test(line) && !/ \.\.\.( |$)/.test(line))
    .map((line) => line.split(/\s+#|\s*[|;&>]/)[0]!)
}

describe('what the pages show', () => {
  const shown = PAGES.map((page) => {
    const fenced = blocksOf(text.get(page)!)
    const indented = [...text.get(page)!.matchAll(/(?:^ {4}.*\n?)+/gm)].map(([block]) => ({
      text: block.replace(/^ {4}/gm, ''),
    }))
    return { page, fenced, indented }
  })

  it('are commands that weir has, with options that they have', () => {
    const faults = shown.flatMap(({ page, fenced, indented }) =>
      [...fenced, ...indented]
        .flatMap(weirLines)
        .map((line) => ({ line, fault: faultOf(line) }))
        .filter(({ fault }) => fault !== undefined)
        .map(({ line, fault }) => `${page}: ${line}: ${fault}`),
    )
    expect(faults).toEqual([])
  })

  it('is YAML and JSON that can be read', () => {
    const faults = shown.flatMap(({ page, fenced }) =>
      fenced
        .filter(({ language }) => language === 'yaml' || language === 'json')
        .flatMap(({ language, text: source, file, line }) => {
          // parts of a file, and files of lines
          const whole = /^["']/.test(source) ? `{${source}}` : source
          const each = file?.endsWith('.jsonl') ? source.split('\n') : [whole]
          return each.flatMap((one) => {
            const document =
              language === 'json' && !/\.\.\./.test(one) ? parseJson(one) : parseYaml(one)
            return document === undefined ? [] : [`${page}:${line}: ${document}`]
          })
        }),
    )
    expect(faults).toEqual([])
  })

  it('has a task page for each row of docs/tasks, and each runs something', () => {
    const tasks = PAGES.filter((page) => /^docs\/tasks\/(?!README)/.test(page))
    const listed = [...text.get('docs/tasks/README.md')!.matchAll(/\]\((\w+\.md)\)/g)].map(
      ([, name]) => `docs/tasks/${name}`,
    )
    expect(listed.sort()).toEqual(tasks.sort())
    for (const page of tasks) {
      const ran = blocksOf(text.get(page)!)
        .filter(({ language }) => language === 'sh' || language === 'console')
        .flatMap(commandsOf)
      expect(ran.length, page).toBeGreaterThan(0)
    }
  })
})

function parseJson(source: string): string | undefined {
  try {
    JSON.parse(source)
    return undefined
  } catch (error) {
    return String(error)
  }
}

const parseYaml = (source: string): string | undefined => parseDocument(source).errors[0]?.message

describe('commands of a page', () => {
  const block = (language: string, body: string): Block => ({
    language,
    file: undefined,
    text: body,
    line: 10,
  })

  it('go on behind a backslash and inside quotes', () => {
    const found = commandsOf(
      block('sh', "curl -s x \\\n  -d '{\n}'\n# a comment\nnpx weir serve b"),
    )
    expect(found.map(({ text: command }) => command)).toEqual([
      "curl -s x \\\n  -d '{\n}'",
      'npx weir serve b',
    ])
    expect(found.map(({ background }) => background)).toEqual([false, true])
    expect(found.map(({ line }) => line)).toEqual([10, 14])
  })

  it('have what is printed below them', () => {
    const found = commandsOf(block('console', '$ a\n...\none\n\ntwo\n$ b'))
    expect(found.map(({ expected }) => expected)).toEqual([['one', 'two'], []])
    expect(() => commandsOf(block('console', 'no prompt'))).toThrow('line 10: expected a command')
  })

  it('print the lines in order, numbers within 3%, any hash, any spacing', () => {
    const printed = [
      'start',
      'demo 46c30af2d3f67ab4 on :1',
      'APGR   .738  [.716, .764]',
      'end 1,000',
    ]
    const missing = (...lines: string[]) => missingLine(lines, printed)
    expect(missing('demo 530f66cc6203d2c6 on :1', 'end 1,010')).toBeUndefined()
    expect(missing('APGR .73 [.72, .76]')).toBeUndefined()
    expect(missing('APGR ...', 'end ...')).toBeUndefined()
    expect(missing('end 1,000', 'start')).toBe('start')
    expect(missing('end 1,100')).toBe('end 1,100')
    expect(missing('APGR .638 [.716, .764]')).toBe('APGR .638 [.716, .764]')
    expect(missing('star')).toBe('star')
  })

  it('end with their block', () => {
    expect(() => blocksOf('```sh\nnever')).toThrow('line 1: this block does not end')
    expect(blocksOf('a\n```yaml [x.yaml]\nb: 1\n```\n')).toEqual([
      { language: 'yaml', file: 'x.yaml', text: 'b: 1', line: 3 },
    ])
  })
})
