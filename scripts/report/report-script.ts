/**
 * The script in the reader's browser: the slider moves the operating point in the drawings and updates the
 * figures next to it. Plain script without dependencies; the page is complete without it.
 */
export const REPORT_SCRIPT = `
'use strict'
const data = JSON.parse(document.getElementById('report-data').textContent)
const slider = document.getElementById('threshold')
const choice = document.getElementById('router')
const percent = (x) => (100 * x).toFixed(1) + '%'
const money = (x) => '$' + (x >= 10 ? x.toFixed(2) : x.toPrecision(3))
const show = (id, text) => { const node = document.getElementById(id); if (node) node.textContent = text }

function pointAt(points, threshold) {
  let low = 0
  let high = points.threshold.length - 1
  while (low < high) {
    const middle = (low + high + 1) >> 1
    if (points.threshold[middle] >= threshold) low = middle
    else high = middle - 1
  }
  return low
}

function place(group, x, y) {
  const { x0, x1, y0, y1 } = group.dataset
  const px = +x0 + x * (x1 - x0)
  const line = group.querySelector('line')
  line.setAttribute('x1', px)
  line.setAttribute('x2', px)
  const dot = group.querySelector('circle')
  if (dot) {
    dot.setAttribute('cx', px)
    dot.setAttribute('cy', +y0 + y * (y1 - y0))
  }
}

function update() {
  const router = data.routers[+choice.value]
  const threshold = +slider.value
  const at = pointAt(router.points, threshold)
  const share = router.points.share[at]
  const gain = router.points.gain[at]
  show('figure-threshold', threshold.toFixed(4))
  show('figure-share', percent(share))
  show('figure-kept', data.gap === null ? gain.toFixed(4) : percent(gain / data.gap))
  if (data.weak !== null) show('figure-quality', (data.weak + gain).toFixed(3))
  if (router.points.dollars) {
    const dollars = router.points.dollars[at]
    show('figure-dollars', money(dollars))
    show('figure-saved', percent(1 - dollars / data.strongDollars))
  }
  slider.setAttribute('aria-valuetext', 'threshold ' + threshold.toFixed(3) + ', ' + percent(share) + ' sent strong')
  for (const group of document.querySelectorAll('.marker.curve')) place(group, share, gain / (data.gap ?? 1))
  for (const group of document.querySelectorAll('.marker.bins')) {
    if (group.dataset.router === choice.value) place(group, Math.min(1, Math.max(0, threshold)), 0)
  }
}

function choose() {
  const { points, threshold } = data.routers[+choice.value]
  const top = points.threshold[0]
  const bottom = points.threshold[points.threshold.length - 1]
  slider.min = bottom
  slider.max = top
  slider.value = threshold ?? (top + bottom) / 2
  update()
}

choice.addEventListener('change', choose)
slider.addEventListener('input', update)
choose()
`

/** Of every page: words explained where the pointer is, and drawings saved as files. */
export const PAGE_SCRIPT = `
'use strict'
{
  const meaningOf = (button) => document.getElementById(button.getAttribute('popovertarget'))
  const place = (button) => {
    const meaning = meaningOf(button)
    const at = button.getBoundingClientRect()
    const size = meaning.getBoundingClientRect()
    meaning.style.margin = '0'
    meaning.style.inset = 'auto'
    meaning.style.left = Math.max(8, Math.min(at.left, innerWidth - size.width - 8)) + 'px'
    const under = at.bottom + 6
    meaning.style.top = (under + size.height < innerHeight ? under : Math.max(8, at.top - size.height - 6)) + 'px'
  }
  for (const button of document.querySelectorAll('.word')) {
    const meaning = meaningOf(button)
    let hovered = false
    button.addEventListener('pointerenter', (event) => {
      if (event.pointerType !== 'mouse' || meaning.matches(':popover-open')) return
      meaning.showPopover()
      hovered = true
      place(button)
    })
    button.addEventListener('pointerleave', () => { if (hovered) meaning.hidePopover(); hovered = false })
    button.addEventListener('click', (event) => {
      event.preventDefault()
      hovered = false
      if (event.detail === 0 && meaning.matches(':popover-open')) meaning.hidePopover()
      else { meaning.showPopover(); place(button) }
    })
  }
  const drawingOf = (figure) => [...figure.querySelectorAll('svg.plot')].find((svg) => svg.getBoundingClientRect().width > 0)
  const standalone = (svg) => {
    const styles = getComputedStyle(document.documentElement)
    const copy = svg.cloneNode(true)
    for (const marker of copy.querySelectorAll('.marker')) {
      marker.setAttribute('stroke', styles.getPropertyValue('--text'))
      marker.setAttribute('fill', styles.getPropertyValue('--page'))
    }
    copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg')
    copy.style.background = styles.getPropertyValue('--page')
    copy.style.color = styles.getPropertyValue('--muted')
    copy.style.fontFamily = 'system-ui, sans-serif'
    return new XMLSerializer().serializeToString(copy).replace(/var\\((--[a-z0-9-]+)\\)/g, (_, name) => styles.getPropertyValue(name).trim())
  }
  const save = (name, url) => {
    const link = document.createElement('a')
    link.download = name
    link.href = url
    link.click()
  }
  for (const button of document.querySelectorAll('.save button')) {
    button.addEventListener('click', () => {
      const svg = drawingOf(button.closest('figure'))
      const url = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(standalone(svg))
      if (button.dataset.as === 'svg') return save('curve.svg', url)
      const image = new Image()
      image.addEventListener('load', () => {
        const canvas = document.createElement('canvas')
        canvas.width = 2 * svg.viewBox.baseVal.width
        canvas.height = 2 * svg.viewBox.baseVal.height
        canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height)
        save('curve.png', canvas.toDataURL('image/png'))
      })
      image.src = url
    })
  }
}
`
