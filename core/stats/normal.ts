/**
 * 97.5% point of the standard normal: a 95% interval is the estimate plus or minus this many standard errors.
 */
export const Z_95 = 1.959963984540054

/** Standard normal density. */
export const normalDensity = (x: number): number => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)

/** P(Z <= x), with absolute error 1e-14 and relative error 1e-8 (West 2005, after Hart 1968). */
export function normalCdf(x: number): number {
  const z = Math.abs(x)
  let tail = 0
  if (z <= 37) {
    const density = Math.exp((-z * z) / 2)
    if (z < 7.07106781186547) {
      let top = 3.52624965998911e-2 * z + 0.700383064443688
      top = top * z + 6.37396220353165
      top = top * z + 33.912866078383
      top = top * z + 112.079291497871
      top = top * z + 221.213596169931
      top = top * z + 220.206867912376
      let bottom = 8.83883476483184e-2 * z + 1.75566716318264
      bottom = bottom * z + 16.064177579207
      bottom = bottom * z + 86.7807322029461
      bottom = bottom * z + 296.564248779674
      bottom = bottom * z + 637.333633378831
      bottom = bottom * z + 793.826512519948
      bottom = bottom * z + 440.413735824752
      tail = (density * top) / bottom
    } else {
      const fraction = z + 1 / (z + 2 / (z + 3 / (z + 4 / (z + 0.65))))
      tail = density / fraction / 2.506628274631
    }
  }
  return x > 0 ? 1 - tail : tail
}

/** The x with P(Z <= x) = p: Acklam's rational approximation, refined by one Halley step. */
export function normalQuantile(p: number): number {
  if (p <= 0) return -Infinity
  if (p >= 1) return Infinity
  if (p > 0.5) return -normalQuantile(1 - p)
  const x = p < 0.02425 ? tailStart(p) : centralStart(p)
  const error = (normalCdf(x) - p) / normalDensity(x)
  return x - error / (1 + (x * error) / 2)
}

function tailStart(p: number): number {
  const q = Math.sqrt(-2 * Math.log(p))
  const top =
    ((((-7.784894002430293e-3 * q - 0.3223964580411365) * q - 2.400758277161838) * q -
      2.549732539343734) *
      q +
      4.374664141464968) *
      q +
    2.938163982698783
  const bottom =
    (((7.784695709041462e-3 * q + 0.3224671290700398) * q + 2.445134137142996) * q +
      3.754408661907416) *
      q +
    1
  return top / bottom
}

function centralStart(p: number): number {
  const q = p - 0.5
  const r = q * q
  const top =
    (((((-39.69683028665376 * r + 220.9460984245205) * r - 275.9285104469687) * r +
      138.357751867269) *
      r -
      30.66479806614716) *
      r +
      2.506628277459239) *
    q
  const bottom =
    ((((-54.47609879822406 * r + 161.5858368580409) * r - 155.6989798598866) * r +
      66.80131188771972) *
      r -
      13.28068155288572) *
      r +
    1
  return top / bottom
}
