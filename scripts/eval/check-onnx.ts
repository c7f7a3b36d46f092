import { spawnSync } from 'node:child_process'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * `npm run check:onnx -- <bundle>...`: runs onnx.checker (Debian's python3-onnx) over every `.onnx` file of
 * the bundles, as an independent check of the writer; not part of `npm test`.
 */
const PROGRAM = `
import sys, onnx
for path in sys.argv[1:]:
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    print("ok", path, "IR", model.ir_version, "opset", model.opset_import[0].version, "nodes", len(model.graph.node))
`

/** Debian's python3, which may not be the first one on the path. */
const PYTHONS = ['/usr/bin/python3', 'python3']

const folders = process.argv.slice(2)
if (folders.length === 0) {
  process.stderr.write('expected one or more bundle folders: npm run check:onnx -- bundles/demo\n')
  process.exit(2)
}
const files: string[] = []
for (const folder of folders) {
  const names = await readdir(folder, { recursive: true })
  files.push(...names.filter((name) => name.endsWith('.onnx')).map((name) => join(folder, name)))
}
const python = PYTHONS.find(
  (path) => spawnSync(path, ['-c', 'import onnx'], { stdio: 'ignore' }).status === 0,
)
if (!python) {
  process.stderr.write(
    'skipped: no python3 with onnx here (Debian: apt-get install python3-onnx)\n',
  )
  process.exit(0)
}
const run = spawnSync(python, ['-c', PROGRAM, ...files], { stdio: 'inherit' })
process.exit(run.status ?? 1)
