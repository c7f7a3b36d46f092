/** Row numbers by name, in the order the names are first met; rows without a name are left out. */
export function groupRows(names: readonly (string | undefined)[]): Map<string, number[]> {
  const groups = new Map<string, number[]>()
  names.forEach((name, i) => {
    if (name === undefined) return
    const rows = groups.get(name)
    if (rows) rows.push(i)
    else groups.set(name, [i])
  })
  return groups
}
