// Turns one .proto file into the JSON descriptor the daemon loads at start (no .proto parser at run time).
// Usage: proto-descriptor.mjs <in.proto> <out.json> [--keep-case]
import { readFileSync, writeFileSync } from 'node:fs';
import protobuf from 'protobufjs';

/** JSON with one message, enum or service per line, so that the diff of a new CRI release can be read. */
function print(node) {
  if (node === null || typeof node !== 'object' || !('nested' in node) || 'fields' in node) return JSON.stringify(node);
  const lines = Object.entries(node.nested).map(([name, child]) => `${JSON.stringify(name)}: ${print(child)}`);
  return `{"nested": {\n${lines.join(',\n')}\n}}`;
}

const [input, output, flag] = process.argv.slice(2);
if (!input || !output) throw new Error('usage: proto-descriptor.mjs <in.proto> <out.json> [--keep-case]');
const { root } = protobuf.parse(readFileSync(input, 'utf8'), { keepCase: flag === '--keep-case' });
root.resolveAll();
writeFileSync(output, `${print(root.toJSON({ keepComments: false }))}\n`);
