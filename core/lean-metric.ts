import type { Metric, MetricObjectWithValues, MetricValue, Registry } from 'prom-client'

/**
 * A histogram whose `observe` costs a few nanoseconds: an array of counts, put into prom-client's form
 * only when Prometheus asks. prom-client's own costs microseconds, on every request.
 */
export class LeanHistogram {
  private readonly counts: Float64Array
  private readonly bounds: readonly number[]
  private sum = 0

  /** @param bounds upper bounds of the buckets, ascending; one more takes the rest */
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
  /** of a histogram's parts */
  readonly metricName?: string
}

/** Adds a metric to a registry that is read only when it is asked for. */
export function registerLean(
  registry: Registry,
  name: string,
  help: string,
  type: 'counter' | 'gauge' | 'histogram',
  read: () => Sample[],
  /** over the processes of `--workers` */
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
    // a registry may be reset in tests; what was counted stays
    reset: () => {},
  }
  registry.registerMetric(metric as unknown as Metric)
}
