import Type, { type TSchema } from 'typebox'
import { openTerminal } from '../../terminal/terminal.ts'
import { defineCommand } from '../command.ts'
import { jsonOption } from '../log-options.ts'
import { optionTable } from '../options.ts'

/** The files that people write, and where their schemas are; loaded when asked for. */
export const SCHEMAS: Readonly<Record<string, () => Promise<TSchema>>> = {
  serve: async () => (await import('../../../serving/server/config.ts')).ServeConfig,
  policy: async () => {
    const { fileSchema, POLICY_STEPS } = await import('../../../serving/policy/registry.ts')
    return fileSchema(POLICY_STEPS.rows)
  },
  train: async () => (await import('../train-options.ts')).TRAIN_CONFIG,
  mapping: async () => (await import('../../../data/rows/mapping.ts')).Mapping,
}

/** The JSON Schema of a kind of file, for editors. @throws option_invalid for another kind */
export async function fileSchemaOf(kind: string): Promise<object> {
  const known = Object.keys(SCHEMAS)
  if (!Object.hasOwn(SCHEMAS, kind)) {
    const { WeirError } = await import('../../../core/errors.ts')
    const expected = `one of ${known.join(', ')}`
    throw new WeirError('option_invalid', { option: 'the kind of file', expected, got: kind })
  }
  const schema = await SCHEMAS[kind]!()
  // editors put the schema's address into the file
  const open = Type.Object({ $schema: Type.Optional(Type.String()) })
  const { properties } = schema as { properties?: object }
  return {
    $schema: 'https://json-schema.org/draft/2020-12/schema',
    title: `Weir: ${kind} file`,
    ...(JSON.parse(JSON.stringify(schema)) as object),
    ...(properties && { properties: { ...open.properties, ...properties } }),
  }
}

/** `weir schema <kind>`: the JSON Schema of a configuration file. */
export const schemaCommand = defineCommand({
  name: 'schema',
  description: 'print the JSON Schema of a file, for editors: serve, policy, train or mapping',
  arguments: [['<kind>', 'serve, policy, train or mapping']],
  options: optionTable({ json: jsonOption('the schema (with or without this)') }),
  notes: `An editor with YAML or JSON support checks and completes a file whose first line names the schema:
# yaml-language-server: $schema=policy.schema.json`,
  examples: ['weir schema serve > serve.schema.json', 'weir schema policy > policy.schema.json'],
  async run(kind) {
    openTerminal().json(await fileSchemaOf(kind))
  },
})
