import { html, Markup } from './markup.ts'
import { PAGE_SCRIPT } from './report-script.ts'
import { explanations } from './words.ts'

/** The report's style: readable at any width, in light and dark mode, and on paper. */
const REPORT_STYLE = `
:root {
  color-scheme: light dark;
  --page: #fff; --text: #1b1f24; --muted: #6a737d; --line: #d8dee4; --card: #f6f8fa; --good: #1a7f37; --bad: #b42318;
  --series-0: #0b62c4; --series-1: #c2410c; --series-2: #0f766e; --series-3: #7c3aed;
  --series-4: #8a6d00; --series-5: #be185d; --series-6: #4d7c0f; --series-7: #475569;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --page: #14171b; --text: #e6e8eb; --muted: #98a1ab; --line: #343a42; --card: #1d2127; --good: #56d37a; --bad: #ff8577;
    --series-0: #6aaeff; --series-1: #ff9a62; --series-2: #4fd1c2; --series-3: #b79bff;
    --series-4: #f4c152; --series-5: #ff8bb8; --series-6: #a9d65a; --series-7: #a9b4c2;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 60rem; background: var(--page); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.25rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.25rem 0 .25rem; }
p { margin: .4rem 0; }
.quiet, figcaption, .plot { color: var(--muted); }
.quiet, figcaption { font-size: .875rem; }
.verdicts { list-style: none; padding: 0; margin: 1rem 0; display: grid; gap: .6rem; }
.verdicts li { background: var(--card); border-left: 4px solid var(--muted); border-radius: 4px; padding: .6rem .9rem; }
.verdicts .works { border-color: var(--good); }
.verdicts .fails { border-color: var(--bad); }
.warnings { font-size: .9rem; padding-left: 1.2rem; }
figure { margin: .5rem 0; }
.plot { width: 100%; height: auto; background: none; }
.narrow { display: none; }
.legend { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; list-style: none; padding: 0; margin: .25rem 0; font-size: .875rem; }
.legend svg { vertical-align: middle; margin-right: .4em; }
.controls { display: grid; grid-template-columns: auto 1fr; gap: .5rem .9rem; align-items: center; background: var(--card);
  border-radius: 6px; padding: .9rem; }
.controls input { width: 100%; min-width: 0; }
.controls select { font: inherit; max-width: 100%; }
.figures { grid-column: 1 / -1; display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr)); gap: .6rem; margin: 0; }
.figures div { border-top: 1px solid var(--line); padding-top: .35rem; }
.figures dt { font-size: .8rem; color: var(--muted); }
.figures dd { margin: 0; font-size: 1.15rem; font-variant-numeric: tabular-nums; }
:focus-visible { outline: 3px solid var(--series-0); outline-offset: 2px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .875rem; font-variant-numeric: tabular-nums; overflow-wrap: normal; }
th, td { text-align: right; padding: .3rem .5rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: normal; min-width: 7rem; }
th { font-weight: 600; white-space: normal; vertical-align: bottom; }
td .quiet { display: block; font-size: .8em; }
tbody.free { color: var(--muted); }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 0 1.5rem; }
details { margin: .5rem 0; }
summary { cursor: pointer; padding: .25rem 0; }
.misses li { margin: .7rem 0; }
.misses pre { margin: .2rem 0; padding: .5rem .7rem; background: var(--card); border-radius: 4px; white-space: pre-wrap;
  font: .8125rem/1.45 ui-monospace, monospace; overflow-wrap: anywhere; }
dl.source { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .875rem; }
dl.source dt { color: var(--muted); } dl.source dd { margin: 0; }
.marker line { stroke: var(--text); stroke-dasharray: 3 3; } .marker circle { fill: var(--page); stroke: var(--text); stroke-width: 2.5; }
.summary { font-size: 1.1rem; }
.word { all: unset; cursor: help; text-decoration: underline dotted; text-underline-offset: .2em; }
.word:focus-visible { outline: 3px solid var(--series-0); }
.meaning { max-width: min(22rem, calc(100vw - 2rem)); padding: .6rem .8rem; border: 1px solid var(--line); border-radius: 6px;
  background: var(--card); color: var(--text); font-size: .875rem; text-align: left; }
.save { display: flex; gap: .5rem; margin: .25rem 0; }
.save button { font: inherit; font-size: .875rem; padding: .2rem .7rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--card); color: var(--text); cursor: pointer; }
@media (max-width: 640px) {
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  td, td:first-child { display: flex; justify-content: space-between; gap: 1rem; border: 0; padding: .1rem 0; white-space: normal; text-align: right; }
  td:first-child { font-weight: 600; text-align: left; }
  td[data-label]:not([data-label=""])::before { content: attr(data-label); color: var(--muted); text-align: left; font-weight: 400; }
  td .quiet { display: inline; }
  body { padding: 1rem .9rem 3rem; }
  .wide { display: none; } .narrow { display: block; }
  .controls { grid-template-columns: 1fr; }
  dl.source { grid-template-columns: 1fr; } dl.source dd { margin-bottom: .4rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 11pt; }
  .scroll { overflow: visible; } table { font-size: 8pt; } th, td { padding: .2rem .25rem; }
  .controls input, .controls label, .save, .meaning { display: none; }
  .word { text-decoration: none; }
  .controls select { appearance: none; border: 0; background: none; color: inherit; font-weight: 600; grid-column: 1 / -1; }
  h2, h3 { break-after: avoid; } figure, tr, .misses li, .verdicts li { break-inside: avoid; }
  .wide { display: block; } .narrow { display: none; }
}
`

export interface Page {
  readonly title: string
  readonly main: Markup
  /** data as JSON text, and the script that reads it */
  readonly script?: { readonly json: Markup; readonly code: string }
}

/** One file that needs no network: its content security policy forbids loading anything. */
export function page({ title, main, script }: Page): string {
  const policy = `default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:`
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
${explanations()}
${
  script &&
  html`<script type="application/json" id="report-data">${script.json}</script>
<script>${new Markup(script.code)}</script>
`
}<script>${new Markup(PAGE_SCRIPT)}</script>
</body>
</html>
`.text
}
