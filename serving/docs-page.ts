/** The page at `/docs`: the endpoints of an OpenAPI document, readable without scripts or network. */
export function docsPage(document: Record<string, unknown>): string {
  const { info, paths } = document as unknown as OpenApi
  const sections = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => section(path, method, operation)),
  )
  return `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeHtml(info.title)}: endpoints</title>
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: .75rem; border: 1px solid #8886; border-radius: 6px; font-size: 13px }
h2 code { font-size: 1.1rem } h2 b { font-size: .8rem; letter-spacing: .05em; margin-right: .5rem }
</style>
<h1>${escapeHtml(info.title)}</h1>
<p>${escapeHtml(info.description)} The schemas are in <a href="/openapi.json">/openapi.json</a>.</p>
${sections.join('\n')}
</html>
`
}

interface Content {
  readonly content?: {
    readonly 'application/json'?: {
      readonly example?: unknown
      readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
    }
  }
  readonly headers?: Readonly<Record<string, { readonly description: string }>>
}
interface Operation {
  readonly summary: string
  readonly requestBody?: Content
  readonly responses: Readonly<Record<string, Content & { readonly description: string }>>
}
interface OpenApi {
  readonly info: { readonly title: string; readonly description: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

function section(path: string, method: string, operation: Operation): string {
  const request = exampleOf(operation.requestBody)
  const answers = Object.entries(operation.responses).map(
    ([status, response]) =>
      `<li><code>${status}</code> ${escapeHtml(response.description)}${headersOf(response)}${exampleOf(response)}</li>`,
  )
  return `<h2><b>${method.toUpperCase()}</b><code>${escapeHtml(path)}</code></h2>
<p>${escapeHtml(operation.summary)}</p>${request}<ul>${answers.join('')}</ul>`
}

function exampleOf(body: Content | undefined): string {
  const { example, examples = {} } = body?.content?.['application/json'] ?? {}
  if (example !== undefined) return pre(example)
  return Object.entries(examples)
    .map(([name, { value }]) => `<p>${escapeHtml(name)}:</p>${pre(value)}`)
    .join('')
}

const pre = (value: unknown): string => `<pre>${escapeHtml(JSON.stringify(value, null, 2))}</pre>`

function headersOf({ headers = {} }: Content): string {
  const items = Object.entries(headers).map(
    ([name, { description }]) =>
      `<dt><code>${escapeHtml(name)}</code></dt><dd>${escapeHtml(description)}</dd>`,
  )
  return items.length === 0 ? '' : `<dl>${items.join('')}</dl>`
}

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
