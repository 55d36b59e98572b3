import { readFileSync } from 'node:fs';
import test from 'ava';
import { podMetricGroups } from '../../../src/config/pod-metrics.ts';
import { createMetrics } from '../../../src/metrics/metrics.ts';
import { daemonSeries, metricsPage } from '../../../src/metrics/page.ts';
import { baseLabels, metricsOf } from '../../../src/stats/metrics/catalogue.ts';
import { dashboard, seriesIn, seriesOf, seriesServed } from '../../helpers/dashboard.ts';

test('docs/metrics.md has every metric that is served', (t) => {
  const page = readFileSync('docs/metrics.md', 'utf8');
  t.is(page, metricsPage(page, metricsOf(podMetricGroups), baseLabels));
});

test('what is told of the daemon is what a scrape has', async (t) => {
  const metrics = createMetrics({ version: '1', node: '2', onError: () => undefined });
  const none = () => 0;
  metrics.setSources({
    sandboxes: () => ({}),
    containers: () => ({}),
    images: none,
    pullLayers: () => ({}),
    pullRemainingBytes: none,
    pulls: none,
    unreachableMonitors: none,
    owedReleases: none,
    owedRemovals: none,
    owedLeftovers: none,
    owedWrites: none,
    oomKills: () => [],
    nriPlugins: none,
    eventSubscribers: none,
    events: none,
    eventOverflows: none,
    droppedLogBytes: none,
  });
  const types = [...(await metrics.scrape()).matchAll(/^# TYPE (podwright_\S+) (\S+)$/gm)].map(
    (m) => `${m[1]} ${m[2]}`,
  );
  t.deepEqual(
    types.toSorted(),
    daemonSeries().map(({ name, type }) => `${name} ${type}`),
  );
});

test('names of series are found in queries', (t) => {
  t.deepEqual(
    seriesIn(
      'histogram_quantile(0.9, sum by (le, some_label) (rate(a_b_bucket{x_y="c_d"}[$__rate_interval]))) / (e_f{} > 0)',
    ),
    ['a_b_bucket', 'e_f'],
  );
  t.deepEqual(seriesIn('topk(10, increase(container_x_total[5m])) without (a_b) + g_h'), ['container_x_total', 'g_h']);
});

test('every series of the dashboard is served', async (t) => {
  const served = seriesServed(await createMetrics({ version: '1', node: '2', onError: () => undefined }).scrape());
  const told = seriesServed(
    daemonSeries()
      .map(({ name, type }) => `# TYPE ${name} ${type}`)
      .join('\n'),
  );
  const ofPods = new Set(metricsOf(podMetricGroups).map(({ name }) => name));
  const asked = seriesOf(dashboard());
  t.true(asked.size > 30);
  t.deepEqual(
    [...asked].filter((name) => !served.has(name) && !told.has(name) && !ofPods.has(name)),
    [],
  );
});

test('the dashboard is one that Grafana takes', (t) => {
  const { uid, title, schemaVersion, panels, templating } = dashboard();
  t.is(uid, 'podwright');
  t.true(title.length > 0 && schemaVersion >= 36);
  const variables = templating.list.map(({ name }) => name);
  t.is(templating.list.find(({ name }) => name === 'datasource')?.type, 'datasource');
  t.is(new Set(panels.map(({ id }) => id)).size, panels.length);
  const cells = new Set<string>();
  for (const { type, title: heading, gridPos, datasource, targets = [] } of panels) {
    t.true(heading.length > 0 && gridPos.x + gridPos.w <= 24, heading);
    for (let { y } = gridPos; y < gridPos.y + gridPos.h; y += 1) {
      for (let { x } = gridPos; x < gridPos.x + gridPos.w; x += 1) {
        t.false(cells.has(`${x},${y}`), `${heading} lies on another panel`);
        cells.add(`${x},${y}`);
      }
    }
    if (type === 'row') continue;
    t.deepEqual(datasource, { type: 'prometheus', uid: '${datasource}' }, heading);
    t.true(targets.length > 0, heading);
    t.is(new Set(targets.map(({ refId }) => refId)).size, targets.length, heading);
    for (const { expr, datasource: from } of targets) {
      t.is(from.uid, '${datasource}');
      for (const [, name = ''] of expr.matchAll(/\$(?!__)(\w+)/g))
        t.true(variables.includes(name), `${heading}: $${name}`);
    }
  }
  for (const subject of ['Pod starts', 'Image pulls', 'OOM', 'throttling', 'Pressure']) {
    t.true(
      panels.some(({ title: heading }) => heading.includes(subject)),
      subject,
    );
  }
});
