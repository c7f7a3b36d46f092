import { hostname, userInfo } from 'node:os'

/** The user of this process and its machine, as the operating system says; a user without a name by its number. */
export function whoRuns(): { readonly user: string; readonly host: string } {
  const host = hostname()
  try {
    return { user: userInfo().username, host }
  } catch {
    // a container's user may have no entry in its list of users
    return { user: `uid ${process.getuid?.() ?? 'unknown'}`, host }
  }
}
