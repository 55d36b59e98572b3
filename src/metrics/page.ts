// The tables of docs/metrics.md, from what is served. Must not write a file.
import { buildInfo, gaugesOf, type MetricSources, ownSeries } from './own-series.ts';

/** What is told of a metric. */
export interface Told {
  readonly name: string;
  readonly type: string;
  readonly help: string;
  readonly labels: readonly string[];
}

const sources: MetricSources = {
  sandboxes: () => ({}),
  containers: () => ({}),
  images: () => 0,
  pullLayers: () => ({}),
  pullRemainingBytes: () => 0,
  pulls: () => 0,
  unreachableMonitors: () => 0,
  owedReleases: () => 0,
  owedRemovals: () => 0,
  owedLeftovers: () => 0,
  owedWrites: () => 0,
  oomKills: () => [],
  nriPlugins: () => 0,
  eventSubscribers: () => 0,
  events: () => 0,
  droppedLogBytes: () => 0,
  eventOverflows: () => 0,
};

/** The daemon's own series, by name. */
export const daemonSeries = (): Told[] =>
  [buildInfo({ version: '', node: '' }), ...Object.values(ownSeries()), ...gaugesOf(sources)].toSorted((a, b) =>
    a.name < b.name ? -1 : 1,
  );

const code = (text: string): string => `\`${text}\``;

const table = (rows: readonly Told[]): string =>
  [
    '| metric | type | labels | meaning |',
    '|---|---|---|---|',
    ...rows.map(
      ({ name, type, labels, help }) => `| ${[code(name), type, labels.map(code).join(', '), help].join(' | ')} |`,
    ),
  ].join('\n');

/** Puts a table between its two marks. */
function put(page: string, mark: string, content: string): string {
  const [begin, end] = [`<!-- ${mark}:begin -->`, `<!-- ${mark}:end -->`];
  const [from, to] = [page.indexOf(begin), page.indexOf(end)];
  if (from < 0 || to < from) throw new TypeError(`the page has no ${begin} … ${end}`);
  return `${page.slice(0, from + begin.length)}\n${content}\n${page.slice(to)}`;
}

/** The page with its tables made anew; `base` are the labels that all metrics of pods have. */
export const metricsPage = (page: string, ofPods: readonly Told[], base: readonly string[]): string =>
  put(
    put(
      put(page, 'daemon', table(daemonSeries())),
      'pods',
      table(ofPods.toSorted((a, b) => (a.name < b.name ? -1 : 1))),
    ),
    'base',
    base.map(code).join(', '),
  );
