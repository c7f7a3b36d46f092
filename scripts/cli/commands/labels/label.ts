import Type from 'typebox'
import { count, keyboard, openTerminal } from '../../../terminal/terminal.ts'
import { defineCommand } from '../../command.ts'
import { jsonOption, labelStoreOption } from '../../log-options.ts'
import { type Flags, optionTable, Text } from '../../options.ts'

const OPTIONS = optionTable({
  by: {
    flag: '--by <name>',
    schema: Text,
    unset: 'the name of this user',
    help: 'who labels; several people may label the same rows',
  },
  number: {
    flag: '--number <labels>',
    schema: Type.Integer({ minimum: 1 }),
    default: 100,
    help: 'stop, or export, after so many',
  },
  export: {
    flag: '--export <file>',
    schema: Text,
    writes: 'file',
    help: 'write the rows to label instead: .csv for a spreadsheet, .json for Label Studio',
  },
  import: {
    flag: '--import <file>',
    schema: Text,
    help: 'read the labels of a filled-in spreadsheet, or of Label Studio’s export',
  },
  store: labelStoreOption,
  json: jsonOption('the result'),
})

/** `weir label <folder>`: people compare the answers of a collection. */
export const labelCommand = defineCommand({
  name: 'label',
  description: 'label the answers of a collection yourself: blind, two answers side by side',
  arguments: [['[folder]', 'the folder of weir collect (default collected)']],
  options: OPTIONS,
  notes:
    'Rows come in random order, so that whoever labels the first 100 labels a random 100: 50 to 200 labels correct a judge (weir grade). Each label is\non disk before the next row is shown.',
  examples: [
    'weir label collected --number 100',
    'weir label collected --export labels.csv',
    'weir label collected --import labels.csv --by ann',
    'weir label collected --store postgres://weir@db/weir',
  ],
  run,
})

async function run(folder: string | undefined, flags: Flags<typeof OPTIONS>): Promise<void> {
  const { userInfo } = await import('node:os')
  const { WeirError } = await import('../../../../core/errors.ts')
  const { writeWhole } = await import('../../../../core/files.ts')
  const { openCollection, readLabels } = await import('../../../collect/grades.ts')
  const labelling = await import('../../../collect/label.ts')
  const { commandsOf, labelTasksBy } = await import('../../../collect/screen.ts')
  const terminal = openTerminal()
  const path = folder ?? 'collected'
  const by = flags.by ?? userInfo().username
  if (flags.export !== undefined && flags.import !== undefined) {
    const expected = 'one of --export and --import'
    throw new WeirError('option_invalid', { option: 'weir label', expected, got: 'both' })
  }
  const { labelSharing } = await import('../../../collect/shared-labels.ts')
  const { collection, rows } = await openCollection(path)
  const sharing = labelSharing(collection, flags.store, terminal.note)
  await sharing.begin()
  const labels = await readLabels(path)
  const tasks = labelling.labelTasks(collection, rows)
  if (tasks.length === 0) {
    const what = `in ${path} that two models answered, to be compared`
    throw new WeirError('rows_too_few', { expected: 1, what, got: 0 })
  }
  const open = labelling.openTasks(tasks, labels, by).slice(0, flags.number)
  const next = `weir grade ${path}`
  if (flags.import !== undefined) {
    const { labels: read, empty } = await labelling.readImported(
      collection,
      tasks,
      flags.import,
      by,
      Date.now(),
    )
    if (read.length > 0) await labelling.addLabels(path, read)
    await sharing.added(read)
    if (flags.json) terminal.json({ folder: path, labels: read.length, empty })
    else
      terminal.print(
        `${count(read.length)} labels read, ${count(empty)} rows without one. Next: ${next}`,
      )
    return
  }
  if (flags.export !== undefined) {
    const { export: file } = flags
    const forStudio = /\.json$/i.test(file)
    if (!forStudio && !/\.csv$/i.test(file)) {
      const expected = 'a name that ends in .csv (spreadsheets) or .json (Label Studio)'
      throw new WeirError('option_invalid', { option: '--export', expected, got: file })
    }
    const text = forStudio
      ? labelling.toLabelStudio(collection, open)
      : labelling.toSpreadsheet(collection, open)
    await writeWhole(file, text)
    if (flags.json) terminal.json({ folder: path, exported: open.length, file })
    else {
      terminal.print(`${count(open.length)} rows in ${file}`)
      if (forStudio) terminal.print(`Labelling interface:\n${labelling.LABEL_STUDIO_VIEW}`)
      terminal.print(
        `Fill in better with 1, 2, tie or both_bad. Then: weir label ${path} --import ${file} --by NAME`,
      )
    }
    return
  }
  const { input, present, columns } = keyboard()
  if (flags.json && present) {
    const expected = 'labels on standard input, as --json leaves the terminal to the result'
    throw new WeirError('option_invalid', { option: '--json', expected, got: 'a terminal' })
  }
  const { labelled } = await labelTasksBy(open, commandsOf(input), {
    columns,
    print: flags.json ? () => {} : terminal.print,
    async save(task, choice) {
      const label = labelling.labelOf(task, choice, by, Date.now())
      await labelling.addLabels(path, [label])
      await sharing.added([label])
    },
  })
  const left = labelling.openTasks(tasks, labels, by).length - labelled
  if (flags.json) terminal.json({ folder: path, labels: labelled, left })
  else
    terminal.print(
      `${count(labelled)} labels by ${by}, ${count(Math.max(0, left))} rows left. Next: ${next}`,
    )
}
