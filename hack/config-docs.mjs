// Writes docs/config.md from the schema of the configuration; with --check only says whether it is up to date.
import { readFileSync, writeFileSync } from 'node:fs';
import { configPage } from '../src/config/docs.ts';

const file = 'docs/config.md';
const page = configPage();
if (process.argv[2] !== '--check') {
  writeFileSync(file, page);
} else if (readFileSync(file, 'utf8') !== page) {
  console.error(`${file} is not what the schema says: run node hack/config-docs.mjs`);
  process.exit(1);
}
