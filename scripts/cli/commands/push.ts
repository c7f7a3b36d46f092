import { count, openTerminal } from '../../terminal/terminal.ts'
import { BUNDLE_OPTIONS, signersOf } from '../bundle-access.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { type Flags, optionTable, Text } from '../options.ts'

const keyEnv = {
  flag: '--key-env <variable>',
  schema: Text,
  help: 'variable with the key: USER:PASSWORD of a registry, or the bearer token of a web server',
  unset: 'what docker login stored, for a registry',
}

const PUSH_OPTIONS = optionTable({ keyEnv, json: jsonOption('the result') })

const PLACES = `oci://registry/repository:tag is an OCI registry; s3://bucket/prefix/NAME a bucket (npm i @aws-sdk/client-s3;
AWS_REGION, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3 and so on as for every AWS tool)`

/** `weir push <bundle> <place>` */
export const pushCommand = defineCommand({
  name: 'push',
  description: 'copy a bundle to a registry or a bucket, where servers fetch it',
  arguments: [
    [
      '<bundle>',
      'bundle folder, such as bundles/demo (its current version) or bundles/demo/VERSION',
    ],
    ['<place>', 'oci://registry/repository:tag or s3://bucket/prefix/NAME'],
  ],
  options: PUSH_OPTIONS,
  notes: `${PLACES}. The signature goes with it: weir sign first. The tag, or
current, moves last; servers with --watch then load the version.`,
  examples: [
    'weir push bundles/demo oci://registry.example/routers/demo:prod',
    'weir push bundles/demo s3://models/routers/demo',
  ],
  run: push,
})

async function push(
  bundle: string,
  place: string,
  flags: Flags<typeof PUSH_OPTIONS>,
): Promise<void> {
  const { parseReference } = await import('../../../models/bundle/remote/reference.ts')
  const { pushBundle } = await import('../../../models/bundle/remote/transfer.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const reference = parseReference(place, '<place>')
  const pushed = await pushBundle(bundle, reference, {
    key: await keyOf(flags.keyEnv),
    environment: process.env,
    signal: interruptSignal(),
    onProgress: terminal.onProgress,
  })
  terminal.endProgress()
  const pinned = `${reference.text}@${pushed.digest}`
  if (flags.json) {
    terminal.json({ ...pushed, reference: pinned })
    return
  }
  const { name, version, uploaded, kept, signed } = pushed
  terminal.print(
    `${name} ${version} is at ${reference.text}: ${count(uploaded)} files sent, ${count(kept)} were there`,
  )
  if (!signed) terminal.print('It is not signed: servers cannot know who made it (weir sign)')
  terminal.print(`This very version: ${pinned}`)
  terminal.print(`Next: weir serve ${reference.text} --watch`)
}

const PULL_OPTIONS = optionTable({
  out: {
    flag: '--out <folder>',
    schema: Text,
    writes: 'folder',
    help: 'folder for the bundle and for later versions of it',
    unset: 'a folder in WEIR_CACHE, else in ~/.cache/weir, which is printed',
  },
  requireSignature: BUNDLE_OPTIONS.requireSignature,
  keyEnv,
  json: jsonOption('the result'),
})

/** `weir pull <place>` */
export const pullCommand = defineCommand({
  name: 'pull',
  description: 'fetch a bundle that is kept elsewhere, for the commands that take a folder',
  arguments: [
    ['<place>', 'oci://registry/repository:tag, https://host/path/NAME or s3://bucket/prefix/NAME'],
  ],
  options: PULL_OPTIONS,
  notes: `${PLACES}. https:// is a bundle folder
that a web server serves. @sha256:... behind the place refuses everything else. Again, it fetches what has changed.`,
  examples: [
    'weir pull oci://registry.example/routers/demo:prod --out bundles',
    'weir evaluate "$(weir pull s3://models/routers/demo --json | jq -r .path)" heldout.jsonl',
  ],
  run: pull,
})

async function pull(place: string, flags: Flags<typeof PULL_OPTIONS>): Promise<void> {
  const { cacheFolder } = await import('../../../models/encoders/cache.ts')
  const { bundleCache } = await import('../../../models/bundle/remote/place.ts')
  const { parseReference } = await import('../../../models/bundle/remote/reference.ts')
  const { pullBundle } = await import('../../../models/bundle/remote/transfer.ts')
  const { interruptSignal } = await import('../../terminal/interrupt.ts')
  const terminal = openTerminal()
  const pulled = await pullBundle(parseReference(place, '<place>'), {
    cache: flags.out ?? bundleCache(cacheFolder(process.env)),
    signers: signersOf(flags),
    key: await keyOf(flags.keyEnv),
    environment: process.env,
    signal: interruptSignal(),
    onProgress: terminal.onProgress,
  })
  terminal.endProgress()
  if (flags.json) {
    terminal.json({ path: pulled.home, version: pulled.version, changed: pulled.moved })
    return
  }
  terminal.print(`${pulled.version} ${pulled.moved ? 'is' : 'was already'} in ${pulled.home}`)
  terminal.print(`Next: weir route ${pulled.home} "Hello"`)
}

/** @throws option_invalid */
async function keyOf(variable: string | undefined): Promise<string | undefined> {
  if (variable === undefined) return undefined
  const key = process.env[variable]
  if (key) return key
  const { WeirError } = await import('../../../core/errors.ts')
  const expected = 'the name of a variable that is set'
  throw new WeirError('option_invalid', { option: '--key-env', expected, got: variable })
}
