import { useEffect, useState } from 'preact/hooks'

export const THEMES = ['system', 'light', 'dark'] as const
export type Theme = (typeof THEMES)[number]

const KEY = 'weir-theme'
const changes = new EventTarget()

export function currentTheme(): Theme {
  try {
    const kept = localStorage.getItem(KEY)
    return THEMES.find((theme) => theme === kept) ?? 'system'
  } catch {
    // storage may be switched off
    return 'system'
  }
}

export function setTheme(theme: Theme): void {
  try {
    localStorage.setItem(KEY, theme)
  } catch {
    // then it lasts until the page is left
  }
  applyTheme(theme)
}

export function applyTheme(theme: Theme): void {
  document.documentElement.dataset.theme = theme
  changes.dispatchEvent(new Event('change'))
}

const dark = matchMedia('(prefers-color-scheme: dark)')
dark.addEventListener('change', () => changes.dispatchEvent(new Event('change')))

/** A number that grows whenever colours change, for what is drawn with them. */
export function useColours(): number {
  const [count, setCount] = useState(0)
  useEffect(() => {
    const changed = (): void => setCount((before) => before + 1)
    changes.addEventListener('change', changed)
    return () => changes.removeEventListener('change', changed)
  }, [])
  return count
}

/** A colour of the style sheet, such as `--accent`, as the page shows it now. */
export function colour(name: string): string {
  const probe = document.createElement('span')
  probe.style.color = `var(${name})`
  document.body.append(probe)
  const shown = getComputedStyle(probe).color
  probe.remove()
  return shown
}
