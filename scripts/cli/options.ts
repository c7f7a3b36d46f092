import { Option } from 'commander'
import Type, { type Static, type TOptional, type TSchema } from 'typebox'
import { WeirError } from '../../core/errors.ts'
import { assertWritable } from '../../core/files.ts'

/**
 * One option of a command. The command's flags, their parsing and their errors, `--help`, the schema of the
 * config file, `--print-config` and docs/reference/cli.md all come from these rows.
 */
export interface OptionRow {
  /** as typed: `--judge-weight <name=number>` */
  readonly flag: string
  /** one sentence, without the default */
  readonly help: string
  /**
   * Type of the value. A number, an enumeration or a boolean is parsed as such; an array is a flag that may
   * be given several times; a record is such a flag with `name=value`, whose texts the command gets.
   */
  readonly schema: TSchema
  /** its name in the command's config file, with a dot for nested keys: `log.text` */
  readonly key?: string
  readonly default?: string | number
  /** what happens without the flag, in words, if that is not a fixed value */
  readonly unset?: string
  readonly required?: true
  /** its heading in `--help` and in the docs */
  readonly section?: string
  /** for a repeatable flag: the separator of several values in one text */
  readonly separator?: string
  /** what the command writes at this path; checked before it reads anything */
  readonly writes?: 'file' | 'folder'
  /** checks one text after the flag, for what a schema cannot describe. Throws `option_invalid`. */
  readonly check?: (text: string) => void
}

/** The rows of a command, by the name that commander gives the flag's value: `judgeWeight`. */
export type OptionTable = Readonly<Record<string, OptionRow>>

/** Keeps the literal types of the rows, from which `Flags` and `FileConfig` are derived. */
export const optionTable = <const Table extends OptionTable>(table: Table): Table => table

type Value<Row extends OptionRow> =
  Static<Row['schema']> extends infer V
    ? V extends readonly unknown[] | string | number | boolean
      ? V
      : readonly string[]
    : never

/** Rows that always have a value: a default, a required flag, or a list, which may be empty. */
type Given<Row extends OptionRow> = Row extends { default: unknown } | { required: true }
  ? true
  : Row extends { flag: `--no-${string}` }
    ? true
    : Value<Row> extends readonly unknown[]
      ? true
      : false

/** The flags that a command's `run` gets. */
export type Flags<Table extends OptionTable> = {
  readonly [Name in keyof Table as Given<Table[Name]> extends true ? Name : never]: Value<
    Table[Name]
  >
} & {
  readonly [Name in keyof Table as Given<Table[Name]> extends true ? never : Name]?:
    | Value<Table[Name]>
    | undefined
}

/** The possible contents of a command's config file. */
export type FileConfig<Table extends OptionTable> = {
  readonly [Name in keyof Table as Table[Name] extends { key: infer Key extends string }
    ? Key
    : never]?: Static<Table[Name]['schema']>
}

/** The schema of the config file: each row with a `key`, and the additional fields. */
export function fileSchema(
  table: OptionTable,
  more: Readonly<Record<string, TOptional<TSchema>>> = {},
) {
  const rows = Object.values(table).flatMap(({ key, schema }) =>
    key === undefined ? [] : [[key, Type.Optional(schema)] as const],
  )
  return Type.Object({ ...more, ...Object.fromEntries(rows) }, { additionalProperties: false })
}

/** A flag without a value. */
export const Switch = Type.Boolean()
export const Text = Type.String({ minLength: 1 })
export const Texts = Type.Array(Text)
export const TextByName = Type.Record(Type.String(), Text)
/** A number in [0, 1]. */
export const Share = Type.Number({ minimum: 0, maximum: 1 })

/** One of several words. */
export const oneOf = <const Word extends string>(words: readonly Word[]) =>
  Type.Unsafe<Word>({ type: 'string', enum: words })

/** The parts of a schema that the parser reads. */
interface ValueSchema {
  readonly type?: string
  readonly enum?: readonly string[]
  readonly anyOf?: readonly { readonly const?: unknown }[]
  readonly items?: TSchema
  readonly patternProperties?: Readonly<Record<string, TSchema>>
  readonly minimum?: number
  readonly maximum?: number
}

const inside = (schema: TSchema): ValueSchema => schema as ValueSchema

/** The values of a record, undefined for other schemas. */
export const recordValue = (schema: TSchema): TSchema | undefined =>
  Object.values(inside(schema).patternProperties ?? {})[0]

/** Whether the flag may be given several times. */
export const isRepeatable = ({ schema }: OptionRow): boolean =>
  inside(schema).type === 'array' || recordValue(schema) !== undefined

/** `--threads`, of `--threads <number>` */
export const flagName = ({ flag }: OptionRow): string => flag.split(/[ ,]/)[0]!

/** The behaviour of a row's flag when it is not given, for `--help` and the docs; may be empty. */
export const defaultText = (row: OptionRow): string => String(row.default ?? row.unset ?? '')

/** The row as an option of commander. */
export function commanderOption(row: OptionRow): Option {
  const option = new Option(row.flag, helpText(row))
  if (row.section !== undefined) option.helpGroup(`${row.section}:`)
  if (row.required) option.makeOptionMandatory()
  if (inside(row.schema).type === 'boolean') return option
  if (isRepeatable(row)) {
    const texts = (text: string): readonly string[] =>
      row.separator === undefined ? [text] : text.split(row.separator)
    return option
      .default([])
      .argParser((text, before: readonly unknown[]) => [
        ...before,
        ...texts(text).map((one) => parseOne(row, one)),
      ])
  }
  if (row.default !== undefined) option.default(row.default)
  return option.argParser((text) => parseOne(row, text))
}

function helpText(row: OptionRow): string {
  const notes = [
    ...(defaultText(row) === '' ? [] : [`default ${defaultText(row)}`]),
    ...(isRepeatable(row) ? ['repeatable'] : []),
  ]
  return notes.length === 0 ? row.help : `${row.help} (${notes.join('; ')})`
}

/**
 * Checks that what a command writes can be written, before it reads anything.
 *
 * @throws file_unwritable
 */
export async function assertOutputs(
  table: OptionTable,
  flags: Readonly<Record<string, unknown>>,
): Promise<void> {
  if (WRITES_NOTHING.some((flag) => flags[flag])) return
  for (const [name, { writes, key }] of Object.entries(table)) {
    const path = flags[name]
    // the config file may name another, which the command checks once it has read it
    if (key !== undefined && flags.config !== undefined) continue
    if (writes !== undefined && typeof path === 'string') await assertWritable(path, writes)
  }
}

/** Flags with which a command only says what it would do. */
const WRITES_NOTHING = ['printConfig', 'dryRun', 'plan', 'explain']

/** Parses one text after a flag by the row's schema. Throws `option_invalid`. */
function parseOne(row: OptionRow, text: string): unknown {
  row.check?.(text)
  const option = flagName(row)
  const of = recordValue(row.schema)
  if (of !== undefined) {
    // a row with its own check may take other texts too, such as the name of a file
    if (row.check !== undefined) return text
    const [name, value] = keyValue(option, text)
    parseValue(`${option} ${name}`, of, value)
    return text
  }
  return parseValue(option, inside(row.schema).items ?? row.schema, text)
}

function parseValue(option: string, schema: TSchema, text: string): unknown {
  const { type, enum: words, anyOf, minimum: min, maximum: max } = inside(schema)
  if (type === 'number' || type === 'integer') {
    return numberOption(option, text, { min, max, integer: type === 'integer' })
  }
  const literals = anyOf?.every((member) => typeof member.const === 'string')
    ? anyOf.map((member) => String(member.const))
    : words
  if (literals) return choiceOption(option, text, literals)
  return text
}

export interface NumberRange {
  readonly min?: number | undefined
  readonly max?: number | undefined
  readonly integer?: boolean
}

/** A numeric option's value, or undefined if it was not given. Refuses anything but a number in range. */
export function numberOption(
  option: string,
  text: string | undefined,
  range: NumberRange = {},
): number | undefined {
  if (text === undefined) return undefined
  const value = text.trim() === '' ? Number.NaN : Number(text)
  const fits =
    Number.isFinite(value) &&
    value >= (range.min ?? -Infinity) &&
    value <= (range.max ?? Infinity) &&
    (!range.integer || Number.isInteger(value))
  if (!fits) throw new WeirError('option_invalid', { option, expected: describe(range), got: text })
  return value
}

/** One of the given words. */
export function choiceOption<T extends string>(
  option: string,
  value: string,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) {
    const expected = `one of ${choices.join(', ')}`
    throw new WeirError('option_invalid', { option, expected, got: value })
  }
  return found
}

/** `--strong` and `--weak`, which require each other. */
export function pairOption(
  strong: string | undefined,
  weak: string | undefined,
): { strong: string; weak: string } | undefined {
  if (strong === undefined && weak === undefined) return undefined
  if (strong !== undefined && weak !== undefined) return { strong, weak }
  throw new WeirError('option_invalid', {
    option: '--strong and --weak',
    expected: 'both or neither',
    got: strong === undefined ? 'only --weak' : 'only --strong',
  })
}

/** `key=value`, split at the first `=`. */
export function keyValue(option: string, text: string): [string, string] {
  const at = text.indexOf('=')
  if (at <= 0) throw new WeirError('option_invalid', { option, expected: 'key=value', got: text })
  return [text.slice(0, at), text.slice(at + 1)]
}

function describe({ min, max, integer }: NumberRange): string {
  const kind = integer ? 'a whole number' : 'a number'
  if (min !== undefined && max !== undefined) return `${kind} from ${min} to ${max}`
  if (min !== undefined) return `${kind} of at least ${min}`
  if (max !== undefined) return `${kind} of at most ${max}`
  return kind
}

/** `--metadata`: a JSON object. @throws option_invalid */
export function metadataOption(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value }
  } catch {
    // reported below
  }
  throw new WeirError('option_invalid', {
    option: '--metadata',
    expected: 'a JSON object',
    got: text,
  })
}
