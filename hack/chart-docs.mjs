// Writes what the chart has from other sources: values.schema.json from the settings of podwrightd (hack/chart-schema.mjs),
// and the table of values in README.md from the comments of values.yaml. With --check only says whether they are current.
import { readFileSync, writeFileSync } from 'node:fs';
import { isMap, isScalar, parseDocument } from 'yaml';
import { pathToFileURL } from 'node:url';
import { chartSchema } from './chart-schema.mjs';

const chart = new URL('../charts/podwright/', import.meta.url);
const marks = ['<!-- values: made by hack/chart-docs.mjs -->', '<!-- end of values -->'];

// The paragraph next to a value: what stands above it, behind an empty line, is of the file.
const comment = (node) =>
  (node?.commentBefore ?? '')
    .split(/\n\s*\n/)
    .at(-1)
    .split('\n')
    .map((line) => line.trim())
    .join(' ')
    .trim();

const cell = (text) => text.replaceAll('|', '\\|');

/**
 * Rows of the values below a map: a value is a row when it has a comment or is no map of commented values. The first
 * comment of a nested map stands before its first key, where the parser gives it to the map.
 */
function rowsOf(map, prefix) {
  return map.items.flatMap(({ key, value }, at) => {
    const name = prefix === '' ? key.value : `${prefix}.${key.value}`;
    const said = comment(key) || (at === 0 && prefix !== '' ? comment(map) : '');
    if (isMap(value) && hasComments(value)) return rowsOf(value, name);
    const type = isMap(value) ? 'object' : isScalar(value) ? typeof value.value : 'list';
    return [`| \`${name}\` | ${type} | \`${cell(JSON.stringify(value.toJSON()))}\` | ${cell(said)} |`];
  });
}

const hasComments = (map) =>
  map.items.length > 0 &&
  (comment(map) !== '' ||
    map.items.some(({ key, value }) => comment(key) !== '' || (isMap(value) && hasComments(value))));

/** The table of values, from the source of values.yaml. */
export function valuesTable(source) {
  const document = parseDocument(source);
  const head = '| Value | Type | Default | |\n| --- | --- | --- | --- |';
  return `${head}\n${rowsOf(document.contents, '').join('\n')}\n`;
}

/** README.md with its table made anew; throws when it has no place for it. */
export function readme(text, values) {
  const [begin, end] = marks.map((mark) => text.indexOf(mark));
  if (begin < 0 || end < begin) throw new Error(`README.md has no lines ${marks.join(' and ')}`);
  return `${text.slice(0, begin + marks[0].length)}\n\n${valuesTable(values)}\n${text.slice(end)}`;
}

/** Files of the chart that are made, with what they should hold. */
export function made() {
  const read = (name) => readFileSync(new URL(name, chart), 'utf8');
  return [
    ['values.schema.json', `${JSON.stringify(chartSchema(), null, 2)}\n`],
    ['README.md', readme(read('README.md'), read('values.yaml'))],
  ];
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const [name, text] of made()) {
    const file = new URL(name, chart);
    if (process.argv[2] !== '--check') writeFileSync(file, text);
    else if (readFileSync(file, 'utf8') !== text) {
      console.error(`charts/podwright/${name} is not current: run node hack/chart-docs.mjs`);
      process.exitCode = 1;
    }
  }
}
