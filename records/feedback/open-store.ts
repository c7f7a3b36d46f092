import type { FeedbackStore } from './store.ts'

/** Opens `postgres://...`, which several replicas can share, or a folder of local segments. */
export async function openFeedbackStore(location: string): Promise<FeedbackStore> {
  return /^postgres(ql)?:\/\//.test(location)
    ? (await import('./postgres-store.ts')).openPostgresStore(location)
    : (await import('./segment-store.ts')).openSegmentStore(location)
}
