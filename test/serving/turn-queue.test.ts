import { setImmediate as nextTurn } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { TurnQueue } from '../../serving/state/turn-queue.ts'
import { sampleApp } from './sample-app.ts'

test('what is added in one turn is worked on together and in order, what comes later by itself', async () => {
  const seen: number[][] = []
  const queue = new TurnQueue<number>((items) => seen.push([...items]))
  queue.add(1)
  queue.add(2)
  expect(seen).toEqual([])
  await nextTurn()
  queue.add(3)
  await nextTurn()
  expect(seen).toEqual([[1, 2], [3]])
})

test('what is added while it works waits for the next turn', async () => {
  const seen: number[][] = []
  const queue = new TurnQueue<number>((items) => {
    seen.push([...items])
    if (items[0] === 1) queue.add(2)
  })
  queue.add(1)
  await nextTurn()
  await nextTurn()
  expect(seen).toEqual([[1], [2]])
})

test('requests that come in together get each its own answer, and a bad one spoils no other', async () => {
  const { app, services, close } = await sampleApp()
  const bodies = Array.from({ length: 30 }, (_, i) =>
    i % 5 === 3 ? { prompt: ' ' } : { prompt: `hello ${i}`, threshold: i / 100 },
  )
  const answers = await Promise.all(
    bodies.map((payload) => app.inject({ method: 'POST', url: '/route', payload })),
  )
  answers.forEach((answer, i) => {
    if (i % 5 === 3) expect(answer.json().error.code).toBe('prompt_empty')
    else expect(answer.json().threshold).toBe(i / 100)
  })
  expect(services.gate.inFlight).toBe(0)
  await close()
})
