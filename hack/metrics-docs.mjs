// Writes the tables of docs/metrics.md from the series and metrics that are served; with --check only says whether
// they are up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { podMetricGroups } from '../src/config/pod-metrics.ts';
import { metricsPage } from '../src/metrics/page.ts';
import { baseLabels, metricsOf } from '../src/stats/metrics/catalogue.ts';

const file = 'docs/metrics.md';

const before = readFileSync(file, 'utf8');
const page = metricsPage(before, metricsOf(podMetricGroups), baseLabels);
if (process.argv[2] !== '--check') {
  writeFileSync(file, page);
} else if (before !== page) {
  console.error(`${file} is not what is served: run node hack/metrics-docs.mjs`);
  process.exit(1);
}
