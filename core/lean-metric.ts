import type { Metric, MetricObjectWithValues, MetricValue, Registry } from 'prom-client'

/**
 * A histogram whose `observe` costs a few nanoseconds: an array of counts, converted to prom-client's form
 * only when Prometheus reads it. prom-client's histogram costs microseconds on every request.
 */
export class LeanHistogram {
  private readonly counts: Float64Array
  private readonly bounds: readonly number[]
  private sum = 0

  /** @param bounds upper bounds of the buckets, ascending; one extra bucket holds larger values */
  constructor(bounds: readonly number[]) {
    this.bounds = bounds
    this.counts = new Float64Array(bounds.length + 1)
  }

  observe(value: number): void {
    let bucket = 0
    while (bucket < this.bounds.length && value > this.bounds[bucket]!) bucket++
    this.counts[bucket]!++
    this.sum += value
  }

  /** Prometheus's cumulative buckets, sum and count. */
  values(name: string, labels: Labels): Sample[] {
    let total = 0
    const samples: Sample[] = []
    for (let bucket = 0; bucket <= this.bounds.length; bucket++) {
      total += this.counts[bucket]!
      const le = this.bounds[bucket] ?? '+Inf'
      samples.push({ labels: { le, ...labels }, value: total, metricName: `${name}_bucket` })
    }
    samples.push({ labels, value: this.sum, metricName: `${name}_sum` })
    samples.push({ labels, value: total, metricName: `${name}_count` })
    return samples
  }
}

export type Labels = Readonly<Record<string, string | number>>
export interface Sample {
  readonly labels: Labels
  readonly value: number
  /** for the parts of a histogram */
  readonly metricName?: string
}

/** Adds a metric to a registry; its values are computed only when the registry is read. */
export function registerLean(
  registry: Registry,
  name: string,
  help: string,
  type: 'counter' | 'gauge' | 'histogram',
  read: () => Sample[],
  /** how to combine the values of the `--workers` processes */
  aggregator: 'sum' | 'max' = 'sum',
): void {
  const metric = {
    name,
    help,
    type,
    aggregator,
    get: async (): Promise<MetricObjectWithValues<MetricValue<string>>> =>
      ({
        name,
        help,
        type,
        values: read(),
        aggregator,
      }) as unknown as MetricObjectWithValues<MetricValue<string>>,
    // tests may reset a registry; the counts are kept
    reset: () => {},
  }
  registry.registerMetric(metric as unknown as Metric)
}
