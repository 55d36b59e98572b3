// PURE
// Metrics of pods in Prometheus' text format 0.0.4. Must not know a metric.

/** What a metric is called, its labels in the order of their values. */
export interface PodMetricFamily {
  readonly name: string;
  readonly help: string;
  readonly labelKeys: readonly string[];
}

/** What a metric is called and how it counts: one object for each metric. */
export interface PodMetricHead {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
}

/** Takes one value with those label values that stand behind the ones of its set. */
export type TakePodMetric = (metric: PodMetricHead, labels: readonly string[], value: number) => void;

/** Values of one pod or container, with the label values that all of them have. */
export interface PodMetricSet {
  readonly base: readonly string[];
  /** Tells all values. */
  readonly tell: (take: TakePodMetric) => void;
}

/** A pod's own values, and those of its containers. */
export interface MeasuredPod extends PodMetricSet {
  readonly containers: readonly PodMetricSet[];
}

/** Where metrics of pods come from. */
export interface PodMetricSource {
  readonly families: () => readonly PodMetricFamily[];
  /** Reads them now. */
  readonly read: () => Promise<readonly MeasuredPod[]>;
}

const escaped = (value: string): string =>
  /[\\\n"]/.test(value) ? value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"') : value;

/** A family's lines so far, and what they say of its own labels. */
interface Written {
  readonly type: 'counter' | 'gauge';
  readonly lines: string[];
  readonly keys: readonly string[];
  readonly own: Map<readonly string[], string>;
}

const pairs = (keys: readonly string[], values: readonly string[]): string =>
  keys.map((key, at) => `${key}="${escaped(values[at] ?? '')}"`).join(',');

/** The text of a scrape: a family has its lines together, and one without values is left out. */
export function podMetricsText(families: readonly PodMetricFamily[], pods: readonly MeasuredPod[]): string {
  const keys = new Map(families.map(({ name, labelKeys }) => [name, labelKeys]));
  const written = new Map<PodMetricHead, Written>();
  for (const { base, tell } of pods.flatMap((pod) => [pod, ...pod.containers])) {
    // the first labels of all families are the same
    let shared: string | null = null;
    tell((metric, labels, value) => {
      let family = written.get(metric);
      if (family === undefined) {
        family = { type: metric.type, lines: [], keys: keys.get(metric.name) ?? [], own: new Map() };
        written.set(metric, family);
      }
      shared ??= pairs(family.keys.slice(0, base.length), base);
      let own = family.own.get(labels);
      if (own === undefined) {
        own = labels.length === 0 ? '' : `,${pairs(family.keys.slice(base.length), labels)}`;
        family.own.set(labels, own);
      }
      family.lines.push(`${metric.name}{${shared}${own}} ${value}\n`);
    });
  }
  const byName = new Map([...written].map(([{ name }, family]) => [name, family]));
  return families
    .map(({ name, help }) => {
      const family = byName.get(name);
      return family ? `# HELP ${name} ${help}\n# TYPE ${name} ${family.type}\n${family.lines.join('')}` : '';
    })
    .join('');
}
