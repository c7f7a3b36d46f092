import type { JSX } from 'preact'

export default function PlaygroundView(): JSX.Element {
  return <h1>Playground</h1>
}
