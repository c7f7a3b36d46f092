import type { Random } from '../../../core/random.ts'
import { between, fill, pick, several } from '../draw.ts'
import {
  CITIES,
  COMPANIES,
  FIRST_NAMES,
  GOODS,
  LAST_NAMES,
  MONTHS,
  WEEKDAYS,
} from '../vocabulary.ts'

const SENTENCES = [
  '{person} from {company} wrote on {weekday} about the {good} that arrived late.',
  'The {city} branch will close for repairs on {date}.',
  'Order {code} came to {n}.{cents} dollars and was paid by card.',
  '{company} has hired {n} people in {city} since {month}.',
  'The delivery of {n} {good}s was signed for by {person}.',
  'A survey of {n} customers found that most liked the new {good}.',
  '{person} asked whether the warranty for the {good} covers water damage.',
  'Rain delayed the opening in {city}, which is now planned for {date}.',
  'Sales of the {good} rose by {n} percent after the {month} fair.',
  '{company} and {company} agreed to share a depot near {city}.',
  'The invoice {code} is due on {date} and remains unpaid.',
  '{person} will replace {person} as head of the {city} office.',
  'Two visitors complained that the {good} was noisy.',
  'Staff in {city} voted to move the weekly meeting to {weekday}.',
  'The council of {city} gave {company} permission for {n} parking places.',
  'A recall of the {good} was announced in {month}, with {n} reports of faults.',
  'For questions, call {person} on 555-0{n} before {weekday}.',
  'Volunteers collected {n} bags of litter near the {company} car park.',
]

/** A short news item, letter or note of `sentences` sentences. */
export function passage(random: Random, sentences: number): string {
  return several(random, SENTENCES, sentences)
    .map((sentence) => fill(random, sentence, passageSlots(random)))
    .join(' ')
}

function passageSlots(random: Random): Record<string, readonly string[] | string> {
  const date = `${between(random, 1, 28)} ${pick(random, MONTHS)}`
  const code = `${pick(random, ['AX', 'BR', 'KT', 'PL', 'ZN'])}-${between(random, 1000, 9999)}`
  return {
    person: FIRST_NAMES.map((first, i) => `${first} ${LAST_NAMES[i % LAST_NAMES.length]}`),
    company: COMPANIES,
    city: CITIES,
    good: GOODS,
    month: MONTHS,
    weekday: WEEKDAYS,
    date,
    code,
    n: String(between(random, 12, 99)),
    cents: String(between(random, 10, 99)),
  }
}
