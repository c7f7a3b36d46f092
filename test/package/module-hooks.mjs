// prints the URL of every module that is loaded, and hides the package that ABSENT names
import { register } from 'node:module'

const hooks = `
import { writeSync } from 'node:fs'
export async function resolve(specifier, context, next) {
  if (specifier === process.env.ABSENT) {
    const message = \`Cannot find package '\${specifier}' imported from \${context.parentURL}\`
    throw Object.assign(new Error(message), { code: 'ERR_MODULE_NOT_FOUND' })
  }
  return next(specifier, context)
}
export async function load(url, context, next) {
  if (url.startsWith('file:')) writeSync(2, url + '\\n')
  return next(url, context)
}
`
register(`data:text/javascript,${encodeURIComponent(hooks)}`)
