import { render } from 'preact'
import { App } from './app.tsx'
import './styles.css'
import { applyTheme, currentTheme } from './theme.ts'

applyTheme(currentTheme())
render(<App />, document.getElementById('app')!)
