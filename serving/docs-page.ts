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
  readonly content?: { readonly 'application/json'?: { readonly example?: unknown } }
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
      `<li><code>${status}</code> ${escapeHtml(response.description)}${exampleOf(response)}</li>`,
  )
  return `<h2><b>${method.toUpperCase()}</b><code>${escapeHtml(path)}</code></h2>
<p>${escapeHtml(operation.summary)}</p>${request}<ul>${answers.join('')}</ul>`
}

function exampleOf(body: Content | undefined): string {
  const example = body?.content?.['application/json']?.example
  return example === undefined ? '' : `<pre>${escapeHtml(JSON.stringify(example, null, 2))}</pre>`
}

const escapeHtml = (text: string): string => text.replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
