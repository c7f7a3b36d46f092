import { csvOf } from '../csv.ts'

/** Offers a file to the browser. */
function save(name: string, content: Blob): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(content)
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000)
}

/** @param rows with the names of the columns first */
export const saveCsv = (name: string, rows: readonly (readonly (string | number)[])[]): void =>
  save(name, new Blob([csvOf(rows)], { type: 'text/csv' }))

/** What a drawing takes from the style sheet. */
const STYLES = ['fill', 'stroke', 'color', 'font-size', 'font-family', 'font-weight', 'opacity']
/** Pixels of the image for each of the screen. */
const SCALE = 2

/** Saves a chart as it looks now, with a title above it, as PNG. */
export async function saveImage(name: string, chart: SVGElement, title: string): Promise<void> {
  const { width, height } = chart.getBoundingClientRect()
  const copy = chart.cloneNode(true) as SVGElement
  const [from, to] = [chart.querySelectorAll('*'), copy.querySelectorAll('*')]
  for (const [i, element] of [chart, ...from].entries()) {
    const style = getComputedStyle(element)
    const target = (i === 0 ? copy : to[i - 1]) as SVGElement
    for (const property of STYLES)
      target.style.setProperty(property, style.getPropertyValue(property))
  }
  copy.setAttribute('width', String(width))
  copy.setAttribute('height', String(height))
  const text = new XMLSerializer().serializeToString(copy)
  const url = URL.createObjectURL(new Blob([text], { type: 'image/svg+xml' }))
  try {
    const image = new Image()
    image.src = url
    await image.decode()
    const [margin, head] = [20, 48]
    const canvas = document.createElement('canvas')
    canvas.width = SCALE * (width + 2 * margin)
    canvas.height = SCALE * (height + head + margin)
    const drawn = canvas.getContext('2d')!
    drawn.scale(SCALE, SCALE)
    const page = getComputedStyle(document.body)
    drawn.fillStyle = page.backgroundColor
    drawn.fillRect(0, 0, canvas.width, canvas.height)
    drawn.fillStyle = page.color
    drawn.font = '600 17px system-ui, sans-serif'
    drawn.fillText(title, margin, 31, width)
    drawn.drawImage(image, margin, head, width, height)
    const png = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/png'))
    if (png) save(name, png)
  } finally {
    URL.revokeObjectURL(url)
  }
}
