import { answerQuestions } from '../../core/asked-thread.ts'
import { compileContents, type Examination } from './privacy.ts'

answerQuestions(({ rules, parts }: Examination) => {
  const body = JSON.parse(Buffer.concat(parts).toString()) as Readonly<Record<string, unknown>>
  return { value: compileContents(rules)?.(body) ?? false }
})
