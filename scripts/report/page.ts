import { html, Markup } from './markup.ts'
import { REPORT_STYLE } from './report-style.ts'

export interface Page {
  readonly title: string
  readonly main: Markup
  /** data as JSON text, and the script that reads it */
  readonly script?: { readonly json: Markup; readonly code: string }
}

/** One file that needs no network: its policy lets nothing be loaded. */
export function page({ title, main, script }: Page): string {
  const scripts = script ? " script-src 'unsafe-inline';" : ''
  const policy = `default-src 'none'; style-src 'unsafe-inline';${scripts} img-src data:`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${new Markup(REPORT_STYLE)}</style>
</head>
<body>
<main>
${main}
</main>
${
  script &&
  html`<script type="application/json" id="report-data">${script.json}</script>
<script>${new Markup(script.code)}</script>
`
}</body>
</html>
`.text
}
