// The Grafana dashboard, and the series that its queries name.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Target {
  readonly refId: string;
  readonly expr: string;
  readonly datasource: { readonly type: string; readonly uid: string };
}

export interface Panel {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly gridPos: { readonly h: number; readonly w: number; readonly x: number; readonly y: number };
  readonly datasource?: { readonly type: string; readonly uid: string };
  readonly targets?: readonly Target[];
}

export interface Dashboard {
  readonly uid: string;
  readonly title: string;
  readonly schemaVersion: number;
  readonly panels: readonly Panel[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly query: string | { readonly query: string };
    }[];
  };
}

/** charts/podwright/dashboards/podwright.json. */
export const dashboard = (): Dashboard =>
  JSON.parse(
    readFileSync(join(import.meta.dirname, '../../charts/podwright/dashboards/podwright.json'), 'utf8'),
  ) as Dashboard;

/** Names of series in a query: what stands before its braces, and is not a label, a function or a text. */
export function seriesIn(query: string): string[] {
  const bare = query
    .replaceAll(/"[^"]*"/g, '""')
    .replaceAll(/\{[^}]*\}/g, '{}')
    .replaceAll(/\b(by|without)\s*\([^)]*\)/g, '');
  return [...bare.matchAll(/\b[a-z]+(?:_[a-z0-9]+)+\b(?!\s*\()/g)].map(([name]) => name);
}

/** Every series that the dashboard asks for. */
export function seriesOf({ panels, templating }: Dashboard): Set<string> {
  const queries = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
  const variables = templating.list.flatMap(({ query }) => (typeof query === 'string' ? [] : [query.query]));
  const inVariables = variables.flatMap((query) =>
    [...query.matchAll(/^label_values\(([a-z0-9_]+)/g)].map((m) => m[1] ?? ''),
  );
  return new Set([...queries.flatMap(seriesIn), ...inVariables]);
}

/** The names under which the families of a scrape's text have lines. */
export function seriesServed(scrape: string): Set<string> {
  return new Set(
    [...scrape.matchAll(/^# TYPE (\S+) (\S+)$/gm)].flatMap(([, name = '', type]) =>
      type === 'histogram' || type === 'summary' ? [name, `${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
    ),
  );
}
