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
