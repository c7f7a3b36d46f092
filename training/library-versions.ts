import { createRequire } from 'node:module'

/** Versions of what a router was made with, for its manifest; a library that is not installed is left out. */
export function libraryVersions(): Record<string, string> {
  const require = createRequire(import.meta.url)
  const versions: Record<string, string> = { node: process.versions.node }
  for (const name of ['onnxruntime-node']) {
    try {
      versions[name] = (require(`${name}/package.json`) as { version: string }).version
    } catch {
      // its absence is told where it is needed
    }
  }
  return versions
}
