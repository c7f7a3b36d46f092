/** Numbers names in order of appearance. */
export class Names {
  private readonly numbers = new Map<string, number>()

  get size(): number {
    return this.numbers.size
  }

  add(name: string): number {
    const known = this.numbers.get(name)
    if (known !== undefined) return known
    this.numbers.set(name, this.numbers.size)
    return this.numbers.size - 1
  }

  /** In order of appearance. */
  list(): string[] {
    return [...this.numbers.keys()]
  }

  /** The names sorted, and for each number the index of its name in the sorted list. */
  sorted(): { readonly names: string[]; readonly place: Int32Array } {
    const met = this.list()
    const order = met.map((_, i) => i).sort((a, b) => (met[a]! < met[b]! ? -1 : 1))
    const place = new Int32Array(met.length)
    order.forEach((number, at) => {
      place[number] = at
    })
    return { names: order.map((number) => met[number]!), place }
  }
}
