// PURE
// Counts and distributions in plain structures, so that nothing is loaded until somebody scrapes.
// Must not know what is measured or how it is written out.

/** One line of a scrape. `metricName` is set where it differs from the series', as histograms need. */
export interface Sample {
  readonly value: number;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly metricName?: string;
}

/** A family of lines with one name. */
export interface Series {
  readonly name: string;
  readonly help: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  /** Names of the labels that its lines have. */
  readonly labels: readonly string[];
  samples(): readonly Sample[];
}

/** What a series is called. */
export interface SeriesName {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
}

const separator = '\u0000';

/** Label values by name, from the values joined as a key. */
const labelsOf = (names: readonly string[], key: string): Record<string, string> =>
  Object.fromEntries(key.split(separator).map((value, i) => [names[i] ?? '', value]));

/** A number per combination of label values that only grows. */
export class Counter implements Series {
  readonly type: 'counter' | 'gauge' = 'counter';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly #values = new Map<string, number>();

  constructor({ name, help, labels }: SeriesName) {
    this.name = name;
    this.help = help;
    this.labels = labels;
    if (labels.length === 0) this.#values.set('', 0);
  }

  /** Adds to the number of these label values, given in the order of the labels. */
  add(values: readonly string[], amount = 1): void {
    const key = values.join(separator);
    this.#values.set(key, (this.#values.get(key) ?? 0) + amount);
  }

  samples(): readonly Sample[] {
    const unlabelled = this.labels.length === 0;
    return [...this.#values].map(([key, value]) => ({ value, labels: unlabelled ? {} : labelsOf(this.labels, key) }));
  }
}

/** A number per combination of label values that grows and shrinks as it is told. */
export class Level extends Counter {
  override readonly type = 'gauge';
}

interface Distribution {
  /** Observations per bucket, not cumulative; the last is above every bound. */
  readonly counts: Float64Array;
  sum: number;
}

/** How observed values are spread over buckets, per combination of label values. */
export class Histogram implements Series {
  readonly type = 'histogram';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly #bounds: readonly number[];
  readonly #distributions = new Map<string, Distribution>();

  /** `bounds` are upper bounds, ascending, without infinity. */
  constructor({ name, help, labels }: SeriesName, bounds: readonly number[]) {
    this.name = name;
    this.help = help;
    this.labels = labels;
    this.#bounds = bounds;
  }

  /** Records one value for these label values, given in the order of the labels. */
  observe(values: readonly string[], value: number): void {
    const key = values.join(separator);
    let one = this.#distributions.get(key);
    if (one === undefined) {
      one = { counts: new Float64Array(this.#bounds.length + 1), sum: 0 };
      this.#distributions.set(key, one);
    }
    const bucket = this.#bounds.findIndex((bound) => value <= bound);
    const at = bucket < 0 ? this.#bounds.length : bucket;
    one.counts[at] = (one.counts[at] ?? 0) + 1;
    one.sum += value;
  }

  samples(): readonly Sample[] {
    return [...this.#distributions].flatMap(([key, { counts, sum }]) => {
      const labels = this.labels.length === 0 ? {} : labelsOf(this.labels, key);
      let total = 0;
      const buckets = [...counts].map((count, i): Sample => {
        total += count;
        return {
          metricName: `${this.name}_bucket`,
          labels: { ...labels, le: this.#bounds[i] ?? '+Inf' },
          value: total,
        };
      });
      return [
        ...buckets,
        { metricName: `${this.name}_sum`, labels, value: sum },
        { metricName: `${this.name}_count`, labels, value: total },
      ];
    });
  }
}

/** Numbers that are read when somebody scrapes; with one label, by its value. */
export class Gauge implements Series {
  readonly type = 'gauge';
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  readonly #read: () => Readonly<Record<string, number>> | number;

  constructor({ name, help, labels }: SeriesName, read: () => Readonly<Record<string, number>> | number) {
    this.name = name;
    this.help = help;
    this.labels = labels;
    this.#read = read;
  }

  samples(): readonly Sample[] {
    const now = this.#read();
    if (typeof now === 'number') return [{ value: now, labels: {} }];
    return Object.entries(now).map(([key, value]) => ({
      value,
      labels: this.labels[0] === undefined ? {} : { [this.labels[0]]: key },
    }));
  }
}
