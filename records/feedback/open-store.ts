import { isPostgresUrl } from '../postgres.ts'
import type { FeedbackStore } from './store.ts'

/** Opens `postgres://...`, which several replicas can share, or a folder of local segments. */
export async function openFeedbackStore(location: string): Promise<FeedbackStore> {
  return isPostgresUrl(location)
    ? (await import('./postgres-store.ts')).openPostgresStore(location)
    : (await import('./segment-store.ts')).openSegmentStore(location)
}
