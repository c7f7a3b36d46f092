import { openFeedbackStore } from '../../../records/feedback/open-store.ts'

/** Records feedback until it is killed, each word sent twice; prints an id once it is acknowledged. */
// the store's own timers keep no process alive; a server's sockets do
setInterval(() => {}, 1000)
const store = await openFeedbackStore(process.argv[2]!)
for (let i = 0; ; i++) {
  const ids = Array.from({ length: 5 }, (_, k) => `${process.pid}-${i}-${k}`)
  await Promise.all(
    ids.map(async (id) => {
      const word = { object: 'feedback', decision_id: id, score: 1, time: i } as const
      await Promise.all([store.record(word), store.record(word)])
      process.stdout.write(`${id}\n`)
    }),
  )
}
