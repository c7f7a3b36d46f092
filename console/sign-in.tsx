import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Session } from '../serving/server/console/contract.ts'
import { signIn } from './api.ts'
import { ErrorNote } from './parts/states.tsx'
import { useAction } from './state.ts'

export function SignIn({
  onSession,
}: {
  readonly onSession: (session: Session) => void
}): JSX.Element {
  const [key, setKey] = useState('')
  const { run, busy, error } = useAction(signIn)
  const submit = async (event: Event): Promise<void> => {
    event.preventDefault()
    const session = await run(key.trim())
    if (session) onSession(session)
  }
  return (
    <main class="alone">
      <form class="sign-in" onSubmit={(event) => void submit(event)}>
        <img src="/console/icon.svg" alt="" width="44" height="44" />
        <h1>Weir console</h1>
        <label for="key">API key or admin token</label>
        <input
          id="key"
          type="password"
          autocomplete="current-password"
          required
          maxLength={500}
          value={key}
          onInput={({ currentTarget }) => setKey(currentTarget.value)}
        />
        <button type="submit" class="button primary" disabled={busy || key.trim() === ''}>
          {busy ? 'Signing in…' : 'Sign in'}
        </button>
        {error && <ErrorNote error={error} />}
        <p class="muted">
          A key works here if the server’s configuration gives it a <code>console</code> role. The
          server prints where the admin token is when it starts.
        </p>
      </form>
    </main>
  )
}
