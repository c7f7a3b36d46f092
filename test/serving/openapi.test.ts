import { Compile } from 'typebox/compile'
import { describe, expect, test } from 'vitest'
import { Decision } from '../../models/decision/decision.ts'
import { ANSWER_HEADERS, docsPage, openApiDocument } from '../../serving/server/openapi.ts'

import { EASY, gatewayApp, HARD, user } from './gateway/gateway-app.ts'

interface Media {
  readonly schema: object
  readonly example?: unknown
  readonly examples?: Readonly<Record<string, { readonly value: unknown }>>
}
interface Part {
  readonly content?: { readonly 'application/json'?: Media }
}
interface Operation {
  readonly requestBody?: Part
  readonly responses: Readonly<Record<string, Part>>
}
const pathsOf = (gateway: boolean) =>
  openApiDocument(gateway).paths as Readonly<Record<string, Readonly<Record<string, Operation>>>>
const PATHS = pathsOf(true)

/** Every media object of the document, with where it is. */
function media(): { at: string; schema: object; values: unknown[] }[] {
  return Object.entries(PATHS).flatMap(([path, methods]) =>
    Object.values(methods).flatMap(({ requestBody, responses }) =>
      Object.entries({ request: requestBody, ...responses }).flatMap(([name, part]) => {
        const content = part?.content?.['application/json']
        if (!content) return []
        const named = Object.values(content.examples ?? {}).map(({ value }) => value)
        const values = content.example === undefined ? named : [content.example]
        return [{ at: `${path} ${name}`, schema: content.schema, values }]
      }),
    ),
  )
}

describe('/openapi.json', () => {
  test('has examples that its own schemas take', () => {
    const all = media().filter(({ at }) => at !== '/route/batch request')
    for (const { at, schema, values } of all) {
      const check = Compile(schema as never)
      for (const value of values) expect([...check.Errors(value)], at).toEqual([])
    }
    expect(all.filter(({ values }) => values.length > 0).length).toBeGreaterThan(8)
  })

  test('shows an explanation by features and one by neighbours, whose weights add up', () => {
    const { examples } = PATHS['/route']!.post!.responses['200']!.content!['application/json']!
    const check = Compile(Decision)
    const said = Object.values(examples!).map(({ value }) => {
      expect([...check.Errors(value)]).toEqual([])
      return (value as Decision).explanation
    })
    const { neighbours, neighbourhood } = said.find((each) => each?.neighbours)!
    const parts = [...neighbours!, neighbourhood!.others, neighbourhood!.prior]
    expect(parts.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 9)
  })

  test('describes the gateway only where there is one', () => {
    expect(Object.keys(pathsOf(false))).not.toContain('/v1/chat/completions')
    expect(PATHS).toHaveProperty(['/v1/chat/completions'])
  })

  test('names every header that the gateway answers with, and no other', async () => {
    const app = await gatewayApp({ attempts: 1 })
    const seen = new Set<string>()
    const chat = async (body: object): Promise<void> => {
      const payload = { messages: user(EASY), ...body }
      const answer = await app.app.inject({ method: 'POST', url: '/v1/chat/completions', payload })
      for (const name of Object.keys(answer.headers)) if (name.startsWith('x-weir')) seen.add(name)
    }
    await chat({ model: 'weir' })
    await chat({ model: 'weir', messages: user(HARD), stream: true })
    app.small.otherwise = 'error_500'
    await chat({ model: 'weir' })
    await app.close()
    expect([...seen].filter((name) => !(name in ANSWER_HEADERS))).toEqual([])
    // policies and strategies have theirs beside these
    const theirs = ['x-weir-rule', 'x-weir-policy', 'x-weir-steps', 'x-weir-strategy']
    const missing = Object.keys(ANSWER_HEADERS).filter((name) => !seen.has(name))
    expect(missing.sort()).toEqual(theirs.sort())
  })
})

describe('/docs', () => {
  test('shows every endpoint, header and example, with nothing to run', () => {
    const page = docsPage(openApiDocument(true))
    for (const path of Object.keys(PATHS)) expect(page).toContain(`<code>${path}</code>`)
    for (const name of Object.keys(ANSWER_HEADERS)) expect(page).toContain(`<code>${name}</code>`)
    expect(page).toContain('neighbourhood')
    expect(page).not.toContain('<script')
  })
})
