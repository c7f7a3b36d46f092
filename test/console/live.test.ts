import { afterEach, expect, test } from 'vitest'
import { type ConsoleApp, consoleApp } from './admin-console.ts'

let app: ConsoleApp | undefined
afterEach(async () => {
  await app?.close()
  app = undefined
})

const route = (prompt: string, session?: string) =>
  app!.app.inject({
    method: 'POST',
    url: '/route',
    headers: { authorization: 'Bearer key-of-vera' },
    payload: { prompt, ...(session && { session_id: session }) },
  })

test('decisions come after the last one seen, with their texts as text', async () => {
  app = await consoleApp()
  const attack = '<img src=x onerror=alert(1)> prove it'
  const { id } = (await route(attack, '<b>s</b>')).json()
  const first = (await app.ask('viewer', 'decisions')).json()
  expect(first).toMatchObject({ seen: 1, more: false, next: 1 })
  expect(first.rows).toMatchObject([{ id, text: attack, session: '<b>s</b>', step: 'learned' }])
  const then = (await app.ask('viewer', `decisions?after=${first.next}`)).json()
  expect(then.rows).toEqual([])
  await route('another')
  const later = (await app.ask('viewer', `decisions?after=${first.next}&limit=1`)).json()
  expect(later.rows).toMatchObject([{ text: 'another' }])
})

test('an operator rates an answer, a viewer does not, and nobody rates what was never decided', async () => {
  app = await consoleApp()
  const { id } = (await route('what is a weir?')).json()
  const body = { decision_id: id, score: 0.5 }
  const refused = await app.ask('viewer', 'rate', body)
  expect([refused.statusCode, refused.json().error.code]).toEqual([403, 'role_needed'])
  expect((await app.ask('operator', 'rate', body)).json()).toEqual(body)
  const kept = []
  for await (const one of app.services.feedback!.read()) kept.push(one)
  expect(kept).toMatchObject([
    { decision_id: id, score: 0.5, source: 'console:otto', key: 'otto', role: 'any' },
  ])
  const unknown = await app.ask('operator', 'rate', { ...body, decision_id: 'never' })
  expect(unknown.json().error.code).toBe('decision_unknown')
  for (const wrong of [{}, { ...body, score: 2 }, { ...body, more: 1 }, { ...body, score: null }]) {
    expect((await app.ask('operator', 'rate', wrong)).statusCode).toBe(400)
  }
})
