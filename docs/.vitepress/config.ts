import { cpSync, existsSync, readdirSync, statSync } from 'node:fs'
import { dirname, join, posix, relative, resolve } from 'node:path'
import { defineConfig } from 'vitepress'

const DOCS = resolve(import.meta.dirname, '..')
const ROOT = resolve(DOCS, '..')
/** Files that pages link to but that are no pages: sources and configurations. They are copied to /files/ of the site. */
const linked = new Set<string>()

const page = (folder: string, name: string) => ({
  text: name.replace(/\.md$/, '').replaceAll('-', ' '),
  link: `/${folder}${name.replace(/\.md$/, '')}`,
})
const pages = (folder: string, ...leaveOut: string[]) =>
  readdirSync(join(DOCS, folder))
    .filter(
      (name) => name.endsWith('.md') && ![...leaveOut, 'README.md', 'index.md'].includes(name),
    )
    .map((name) => page(folder, name))

export default defineConfig({
  title: 'Weir',
  description: 'Learned LLM routers: train on your logs, calibrate, serve.',
  srcExclude: ['node_modules/**', 'deploy/**', 'examples/**'],
  rewrites: (path) => path.replace(/(^|\/)README\.md$/, '$1index.md'),
  // dead links are errors; servers of examples are not there
  ignoreDeadLinks: [/^https?:\/\/(?:localhost|127\.)/],
  themeConfig: {
    search: { provider: 'local' },
    sidebar: [
      { text: 'By what you have', link: '/tasks/', items: pages('tasks/') },
      { text: 'Integrations', link: '/integrations/', items: pages('integrations/') },
      { text: 'Subjects', items: pages('') },
      {
        text: 'Reference',
        items: [page('reference/', 'cli.md'), { text: 'API', link: '/reference/api/' }],
      },
      { text: 'Research', collapsed: true, items: pages('research/') },
      { text: 'Decisions', link: '/adr/', collapsed: true, items: pages('adr/') },
    ],
  },
  markdown: {
    config(markdown) {
      markdown.core.ruler.push('weir_files', (state) => {
        const from = dirname((state.env as { path: string }).path)
        for (const token of state.tokens.flatMap(({ children }) => children ?? [])) {
          const href = token.attrGet('href')
          if (token.type !== 'link_open' || !href || /^(?:[a-z]+:|#)/.test(href)) continue
          const [path = ''] = href.split('#')
          const target = resolve(from, path)
          const inside = relative(DOCS, target)
          if (!inside.startsWith('..') && path.endsWith('.md')) continue
          if (!existsSync(target) || /^reference.api/.test(inside)) continue
          linked.add(target)
          token.attrSet('href', `/files/${posix.normalize(relative(ROOT, target))}`)
          token.attrSet('target', '_self')
        }
      })
    },
  },
  buildEnd({ outDir }) {
    for (const path of linked) {
      if (statSync(path).isDirectory() && resolve(path) === ROOT) continue
      cpSync(path, join(outDir, 'files', relative(ROOT, path)), { recursive: true })
    }
  },
})
