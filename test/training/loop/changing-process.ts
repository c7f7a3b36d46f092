import { realpath } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { readLogs } from '../../../data/ingest.ts'
import { writeBundle } from '../../../models/bundle/write.ts'
import { loadRouter } from '../../../models/router.ts'
import { openAuditLog } from '../../../serving/audit/audit-log.ts'
import { promote, rollBack } from '../../../training/loop/promote.ts'
import { sampleDraft } from '../../models/sample-bundle.ts'
import { loadWordEncoder } from '../../models/word-encoder.ts'

/**
 * Changes what a folder holds, again and again, until it is killed: `promote` takes turns with a rollback, `write`
 * writes versions of a bundle as training and onboarding do, `audit` records loaded bundles as a reload does. Says `ready` when it begins.
 */
const [kind, root] = process.argv.slice(2) as ['promote' | 'write' | 'audit', string]
const home = join(root, 'bundles/sample')
const load = (path: string) => loadRouter(path, { loadEncoder: loadWordEncoder })

const TURNS = {
  async promote() {
    const outcomes = await readLogs([join(root, 'outcomes.jsonl')], { seed: 1 })
    const candidate = join(root, 'next/sample')
    const better = basename(await realpath(join(candidate, 'current')))
    return async (): Promise<void> => {
      const current = basename(await realpath(join(home, 'current')))
      if (current === better) await rollBack(home)
      else
        await promote(candidate, home, {
          outcomes,
          strongPrice: 0.1,
          load,
          to: 'all',
          atOnce: true,
        })
    }
  },
  async write() {
    let i = Math.floor(performance.timeOrigin)
    return async (): Promise<void> => {
      await writeBundle(join(root, 'written'), sampleDraft({ threshold: (++i % 97) / 100 }))
    }
  },
  async audit() {
    const who = { user: 'somebody', host: 'here', process: process.pid }
    const log = await openAuditLog({ place: join(root, 'log'), who, now: () => new Date() })
    let i = 0
    const loaded = async (): Promise<void> => {
      await log.record({ event: 'bundle_loaded', name: 'sample', hash: String(++i), why: 'SIGHUP' })
    }
    // a kill before the first line would leave no file to look at
    await loaded()
    return loaded
  },
} satisfies Record<string, () => Promise<() => Promise<void>>>

const turn = await TURNS[kind]()
const parent = process.ppid
process.stdout.write('ready\n')
while (process.ppid === parent) await turn()
