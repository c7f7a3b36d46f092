import type { GoldenResult } from '../../training/evaluate/golden/check-golden.ts'
import { escapeMarkup } from './markup.ts'

/** JUnit XML for CI servers: one suite per golden file, one case per expectation. */
export function renderJunit({ router, path, cases, failed }: GoldenResult): string {
  const suite = `name="${attribute(`${router.name} ${router.version}`)}" tests="${cases.length}" failures="${failed}" errors="0" skipped="0"`
  const body = cases.map(({ name, line, failure }) => {
    const opening = `    <testcase classname="${attribute(path)}" name="${attribute(name)}" file="${attribute(path)}" line="${line}"`
    if (!failure) return `${opening}/>`
    return `${opening}>\n      <failure message="${attribute(failure)}">${attribute(`${path}:${line}: ${failure}`)}</failure>\n    </testcase>`
  })
  return `<?xml version="1.0" encoding="UTF-8"?>
<testsuites tests="${cases.length}" failures="${failed}">
  <testsuite ${suite}>
${body.join('\n')}
  </testsuite>
</testsuites>
`
}

/** XML 1.0 cannot represent most control characters: they become the replacement character. */
const attribute = (text: string): string =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  escapeMarkup(text.replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd'))
    .replaceAll('\n', '&#10;')
    .replaceAll('\t', '&#9;')
