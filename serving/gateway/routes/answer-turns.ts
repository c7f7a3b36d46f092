import type { FastifyReply } from 'fastify'
import type { LoadGate } from '../../load-gate.ts'
import { TurnQueue } from '../../turn-queue.ts'
import type { OnCancel, Outcome } from '../gateway.ts'
import { sendOutcome } from '../reply.ts'

/** Answers one request. @param cancelled told what to do when the client goes */
export type Work = (cancelled: OnCancel) => Promise<Outcome>

interface Asked {
  readonly reply: FastifyReply
  readonly work: Work
}

interface Answered {
  readonly reply: FastifyReply
  readonly outcome: Outcome
}

/**
 * Requests that came in one turn of the event loop are worked on together, and whole answers that came in
 * one turn are written together, which costs less than one by one. Streams wait for nobody.
 */
export class AnswerTurns {
  private readonly gate: LoadGate
  private readonly asked = new TurnQueue<Asked>((items) => {
    for (const item of items) void this.begin(item)
  })
  private readonly answered = new TurnQueue<Answered>((items) => {
    for (const { reply, outcome } of items) void this.write(reply, outcome)
  })

  constructor(gate: LoadGate) {
    this.gate = gate
  }

  /** @param room what must be waited for first */
  add(reply: FastifyReply, room: Promise<void> | undefined, work: Work): void {
    this.gate.inFlight++
    const asked = { reply, work }
    if (room) void room.then(() => this.asked.add(asked))
    else this.asked.add(asked)
  }

  private async begin({ reply, work }: Asked): Promise<void> {
    try {
      const { raw } = reply
      const outcome = await work((cancel) => {
        // it may have gone while its turn was waited for
        if (raw.destroyed) cancel()
        else raw.once('close', () => raw.writableFinished || cancel())
      })
      if (outcome.answer?.answer.kind === 'complete') this.answered.add({ reply, outcome })
      else void this.write(reply, outcome)
    } catch (error) {
      this.refuse(reply, error)
    }
  }

  private async write(reply: FastifyReply, outcome: Outcome): Promise<void> {
    try {
      await sendOutcome(reply, outcome)
      this.gate.inFlight--
    } catch (error) {
      this.refuse(reply, error)
    }
  }

  private refuse(reply: FastifyReply, error: unknown): void {
    this.gate.inFlight--
    // an answer that was begun cannot become another
    if (reply.sent) reply.raw.destroy()
    else void reply.send(error)
  }
}
