import { Component, type ComponentChildren, type ComponentType, type JSX } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import type { Session } from '../serving/server/console/contract.ts'
import { ApiError, currentSession, onSessionEnd, signIn, signOut } from './api.ts'
import { addressOf, usePlace } from './location.ts'
import { Icon, type IconName } from './parts/icons.tsx'
import { Empty, ErrorNote, Loading } from './parts/states.tsx'
import { SignIn } from './sign-in.tsx'
import { SessionContext, useOnline } from './state.ts'
import { currentTheme, setTheme, THEMES, type Theme } from './theme.ts'
import { type View, viewsOf } from './views.ts'

/** The console: the form to sign in, or the shell around a view. */
export function App(): JSX.Element {
  const [session, setSession] = useState<Session>()
  const [known, setKnown] = useState(false)
  const [error, setError] = useState<ApiError>()
  const begin = async (): Promise<void> => {
    setError(undefined)
    try {
      setSession((await invited()) ?? (await currentSession()))
      setKnown(true)
    } catch (failed) {
      if (!(failed instanceof ApiError)) throw failed
      setError(failed)
    }
  }
  useEffect(() => {
    void begin()
    return onSessionEnd(() => setSession(undefined))
  }, [])
  if (error) {
    return (
      <main class="alone">
        <ErrorNote error={error} retry={() => void begin()} />
      </main>
    )
  }
  if (!known) return <Loading />
  if (!session) return <SignIn onSession={setSession} />
  return (
    <SessionContext.Provider value={session}>
      <Shell
        session={session}
        leave={async () => {
          await signOut().catch(() => {})
          setSession(undefined)
        }}
      />
    </SessionContext.Provider>
  )
}

/** Signs in with the code of a printed address, which then leaves the address bar; undefined without a valid one. */
async function invited(): Promise<Session | undefined> {
  const code = /^#code=([\w-]{20,100})$/.exec(location.hash)?.[1]
  if (code === undefined) return undefined
  history.replaceState(null, '', location.pathname)
  try {
    return await signIn(code)
  } catch (error) {
    if (error instanceof ApiError && error.status === 401) return undefined
    throw error
  }
}

function Shell({
  session,
  leave,
}: {
  readonly session: Session
  readonly leave: () => Promise<void>
}): JSX.Element {
  const views = viewsOf(session)
  const place = usePlace()
  const view = views.find(({ id }) => id === place.view) ?? views[0]
  const [menu, setMenu] = useState(false)
  const online = useOnline()
  const main = useRef<HTMLElement>(null)
  const before = useRef(view?.id)
  useEffect(() => {
    document.title = view ? `${view.title} · ${session.title} · Weir` : 'Weir console'
    setMenu(false)
    // a new view is read from its start
    if (before.current !== view?.id) {
      main.current?.focus({ preventScroll: true })
      scrollTo(0, 0)
    }
    before.current = view?.id
  }, [view, session.title])
  useEffect(() => {
    const close = (event: KeyboardEvent): void => {
      if (event.key === 'Escape') setMenu(false)
    }
    addEventListener('keydown', close)
    return () => removeEventListener('keydown', close)
  }, [])
  return (
    <div class={`shell${menu ? ' menu-open' : ''}`}>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        To the content
      </button>
      <header class="top">
        <button
          type="button"
          class="icon-button menu-button"
          aria-expanded={menu}
          aria-controls="navigation"
          aria-label={menu ? 'Close the menu' : 'Open the menu'}
          onClick={() => setMenu(!menu)}
        >
          <Icon name={menu ? 'close' : 'menu'} />
        </button>
        <span class="brand">
          <img src="/console/icon.svg" alt="" width="24" height="24" /> Weir
        </span>
        <span class="muted top-title">{view?.title}</span>
      </header>
      <nav class="side" id="navigation" aria-label="Views">
        <div class="side-head">
          <span class="brand">
            <img src="/console/icon.svg" alt="" width="28" height="28" /> Weir
          </span>
          <span class="muted">{session.title}</span>
        </div>
        <ul>
          {views.map(({ id, title, icon }) => (
            <li key={id}>
              <a
                href={addressOf(id)}
                aria-current={id === view?.id ? 'page' : undefined}
                onClick={() => setMenu(false)}
              >
                <Icon name={icon} /> {title}
              </a>
            </li>
          ))}
        </ul>
        <div class="side-foot">
          <ThemeSwitch />
          <div class="who">
            <span>
              {session.name}
              <br />
              <span class="muted">{session.role}</span>
            </span>
            <button
              type="button"
              class="icon-button"
              aria-label="Sign out"
              title="Sign out"
              onClick={() => void leave()}
            >
              <Icon name="out" />
            </button>
          </div>
        </div>
      </nav>
      <main id="main" tabIndex={-1} ref={main}>
        <div role="status" class="offline-line">
          {!online && (
            <p class="note note-warn">
              <Icon name="alert" /> The server cannot be reached. What you see may be old; it goes
              on when the server answers.
            </p>
          )}
        </div>
        {view ? (
          <Guarded key={view.id}>
            <Opened view={view} />
          </Guarded>
        ) : (
          <Empty title="This console has no views." />
        )}
      </main>
    </div>
  )
}

const loaded = new Map<string, ComponentType>()

/** A view, when its file has come. */
function Opened({ view }: { readonly view: View }): JSX.Element {
  const [, setTurn] = useState(0)
  const [error, setError] = useState<ApiError>()
  const Page = loaded.get(view.id)
  useEffect(() => {
    if (Page) return
    view.load().then(
      (module) => {
        loaded.set(view.id, module.default)
        setTurn((before) => before + 1)
      },
      () => setError(new ApiError(0, 'unreachable', 'This view could not be loaded.')),
    )
  }, [view, Page])
  if (error) return <ErrorNote error={error} retry={() => location.reload()} />
  return Page ? <Page /> : <Loading />
}

/** A fault in one view leaves the others usable. */
class Guarded extends Component<
  { readonly children: ComponentChildren },
  { fault: string | undefined }
> {
  override state: { fault: string | undefined } = { fault: undefined }

  static override getDerivedStateFromError(error: unknown): { fault: string } {
    return { fault: error instanceof Error ? error.message : String(error) }
  }

  override render(): ComponentChildren {
    const { fault } = this.state
    if (fault === undefined) return this.props.children
    return (
      <ErrorNote
        error={new ApiError(-1, 'view_failed', `This view failed: ${fault}`)}
        retry={() => this.setState({ fault: undefined })}
      />
    )
  }
}

const THEME_ICONS: Readonly<Record<Theme, IconName>> = {
  system: 'system',
  light: 'light',
  dark: 'dark',
}

function ThemeSwitch(): JSX.Element {
  const [theme, setNow] = useState(currentTheme)
  return (
    <fieldset class="segments">
      <legend class="hidden">Colours</legend>
      {THEMES.map((one) => (
        <label key={one} title={`Colours: ${one}`}>
          <input
            type="radio"
            name="theme"
            checked={theme === one}
            onChange={() => {
              setTheme(one)
              setNow(one)
            }}
          />
          <Icon name={THEME_ICONS[one]} size={16} />
          <span class="hidden">{one}</span>
        </label>
      ))}
    </fieldset>
  )
}
