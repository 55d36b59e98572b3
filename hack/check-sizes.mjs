// Sizes of files: small ones are read whole. Functions and parameters are counted by the linter (.oxlintrc.json).
// Run: node hack/check-sizes.mjs. Generated files are excepted.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

const rules = [
  { name: 'src', directory: 'src', file: /\.ts$/, ceiling: 400, median: 100 },
  { name: 'test', directory: 'test', file: /\.ts$/, ceiling: 400 },
  { name: 'native', directory: 'native/crates', file: /\.rs$/, ceiling: 500 },
];
const generated = /(^|\/)(generated|target)\/|\/generated\.rs$/;
const badName = /(^|\/)(utils?|helpers?|common|manager|service|impl)\.(ts|rs)$|(^|\/)[a-z_-]*\d+\.(ts|rs)$/;
const namedByProtocol = /(^|\/)(v1|v2|v4|v5|sha256)\.(ts|rs)$/;

const complaints = [];
const summary = [];
for (const { name, directory, file, ceiling, median } of rules) {
  const files = readdirSync(directory, { recursive: true, encoding: 'utf8' })
    .filter((path) => file.test(path) && !generated.test(`${directory}/${path}`))
    .map((path) => ({
      path: join(directory, path),
      lines: readFileSync(join(directory, path), 'utf8').split('\n').length - 1,
    }));
  for (const { path, lines } of files) {
    if (lines > ceiling) complaints.push(`${path}: ${lines} lines, and ${ceiling} is the most`);
    if (badName.test(path) && !namedByProtocol.test(path)) complaints.push(`${path}: name a file after what it holds`);
  }
  const sorted = files.map(({ lines }) => lines).sort((a, b) => a - b);
  const middle = sorted[Math.floor(sorted.length / 2)] ?? 0;
  if (median !== undefined && middle > median)
    complaints.push(`${directory}: median ${middle} lines, and ${median} is the most`);
  summary.push(`${name} ${files.length} files, median ${middle}, longest ${sorted.at(-1) ?? 0}`);
}
for (const complaint of complaints) console.error(complaint);
console.log(`sizes: ${summary.join('; ')}`);
process.exitCode = complaints.length === 0 ? 0 : 1;
