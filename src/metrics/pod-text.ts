// PURE
// Metrics of pods in Prometheus' text format 0.0.4. Must not know a metric.

/** What a metric is called, its labels in the order of their values. */
export interface PodMetricFamily {
  readonly name: string;
  readonly help: string;
  readonly labelKeys: readonly string[];
}

/** One value, with those label values that stand behind the ones of its set. */
export interface PodMetricLine {
  readonly name: string;
  readonly type: 'counter' | 'gauge';
  readonly labels: readonly string[];
  readonly value: number;
}

/** Values of one pod or container, with the label values that all of them have. */
export interface PodMetricSet {
  readonly base: readonly string[];
  readonly metrics: Iterable<PodMetricLine>;
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

interface Written {
  readonly type: 'counter' | 'gauge';
  readonly lines: string[];
}

/** The text of a scrape: a family has its lines together, and one without values is left out. */
export function podMetricsText(families: readonly PodMetricFamily[], pods: readonly MeasuredPod[]): string {
  const keys = new Map(families.map(({ name, labelKeys }) => [name, labelKeys]));
  const written = new Map<string, Written>();
  for (const set of pods.flatMap((pod) => [pod, ...pod.containers])) {
    for (const { name, type, labels, value } of set.metrics) {
      let family = written.get(name);
      if (family === undefined) written.set(name, (family = { type, lines: [] }));
      const values = [...set.base, ...labels];
      const pairs = (keys.get(name) ?? []).map((key, at) => `${key}="${escaped(values[at] ?? '')}"`);
      family.lines.push(`${name}{${pairs.join(',')}} ${value}`);
    }
  }
  return families
    .flatMap(({ name, help }) => {
      const family = written.get(name);
      return family ? [`# HELP ${name} ${help}`, `# TYPE ${name} ${family.type}`, ...family.lines] : [];
    })
    .map((line) => `${line}\n`)
    .join('');
}
