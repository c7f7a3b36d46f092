import { expect, test } from 'vitest'
import { CloseStack, openOrClose } from '../../core/close-stack.ts'

test('closes the newest first, and each once', async () => {
  const closed: string[] = []
  const stack = new CloseStack()
  const first = stack.use({ name: 'first', close: async () => void closed.push('first') })
  expect(first.name).toBe('first')
  stack.add(() => closed.push('second'))
  await stack.close()
  await stack.close()
  expect(closed).toEqual(['second', 'first'])
})

test('closes the others where one fails, and says what failed first', async () => {
  const closed: string[] = []
  const stack = new CloseStack()
  stack.add(() => closed.push('a'))
  stack.add(() => Promise.reject(new Error('b')))
  stack.add(() => {
    throw new Error('c')
  })
  await expect(stack.close()).rejects.toThrow('c')
  expect(closed).toEqual(['a'])
})

test('what fails to open closes the parts that were opened, and throws its own reason', async () => {
  const closed: string[] = []
  const opening = openOrClose(async (parts) => {
    parts.add(() => closed.push('a'))
    parts.add(() => Promise.reject(new Error('closing')))
    throw new Error('opening')
  })
  await expect(opening).rejects.toThrow('opening')
  expect(closed).toEqual(['a'])
})

test('what opens stays open', async () => {
  const closed: string[] = []
  const parts = await openOrClose(async (stack) => {
    stack.add(() => closed.push('a'))
    return stack
  })
  expect(closed).toEqual([])
  await parts.close()
  expect(closed).toEqual(['a'])
})
