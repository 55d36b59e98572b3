// Writes docs/status.md from what the daemon enforces: the two service tables and the field policy.
// Usage: status.mjs [output file]; docs/status.md without one.
import { readFileSync, writeFileSync } from 'node:fs';
import { fieldPolicies } from '../src/cri/field-policy.ts';
import { imageService } from '../src/cri/image-service.ts';
import { criFields, criMethods, requestType } from '../src/cri/reflection.ts';
import { runtimeService } from '../src/cri/runtime-service.ts';

const services = { RuntimeService: runtimeService, ImageService: imageService };
const recovering = {
  answers: 'answers',
  waits: 'waits for the whole truth',
  unavailable: 'UNAVAILABLE',
};

function rpcRows() {
  return Object.entries(services).flatMap(([service, table]) =>
    criMethods(service).map((method) => {
      const row = table[method];
      return row === undefined
        ? `| ${service} | ${method} | UNIMPLEMENTED | |`
        : `| ${service} | ${method} | done | ${recovering[row.whileRecovering]} |`;
    }),
  );
}

/** State and note of one field. */
function told(policy) {
  switch (policy.is) {
    case 'honoured':
      return ['done', ''];
    case 'handler':
      return ['done', ''];
    case 'ignored':
      return ['ignored', policy.because];
    default:
      throw new TypeError(`no words for ${policy.is}`);
  }
}

/** Message types in the order in which requests reach them. */
function messages() {
  const order = [];
  const walk = (type) => {
    const fields = criFields(type);
    if (fields === null || order.includes(type)) return;
    order.push(type);
    for (const { name, type: inner } of fields) if (fieldPolicies[type][name].is === 'honoured') walk(inner);
  };
  for (const [service, table] of Object.entries(services)) {
    for (const method of criMethods(service)) if (table[method] !== undefined) walk(requestType(service, method));
  }
  return order.filter((type) => criFields(type).length > 0);
}

function typeName({ type, repeated, map }) {
  const name = shown.includes(type) ? `[${type}](#${type.toLowerCase()})` : type;
  return map ? `map of ${name}` : repeated ? `list of ${name}` : name;
}

function fieldSection(type, counts) {
  const rows = criFields(type).map((field) => {
    const [state, note] = told(fieldPolicies[type][field.name]);
    counts[state] += 1;
    return `| ${field.name} | ${typeName(field)} | ${state} | ${note} |`;
  });
  return [`### ${type}`, '', '| field | type | state | |', '|---|---|---|---|', ...rows, ''].join('\n');
}

const version = /\*\*(v[0-9.]+)\*\*/.exec(
  readFileSync(new URL('../proto/runtime/README.md', import.meta.url), 'utf8'),
)[1];
const rpcs = rpcRows();
const counts = { done: 0, ignored: 0 };
// those that have a section
const shown = messages();
const sections = shown.map((type) => fieldSection(type, counts));
const served = rpcs.filter((row) => row.includes('| done |')).length;
const text = `# What of the CRI is done

<!-- made by hack/status.mjs from src/cri; hack/check-generated.sh fails when it is stale -->

CRI ${version}. ${served} of ${rpcs.length} RPCs are served. Of the ${counts.done + counts.ignored} request fields that can reach them,
${counts.done} are done and ${counts.ignored} ignored, each for the reason beside it: nothing is dropped in silence.

## RPCs

| service | RPC | state | while the daemon recovers |
|---|---|---|---|
${rpcs.join('\n')}

## Request fields

Messages are told once, wherever they occur. A message that is ignored as a whole is not opened.

${sections.join('\n')}`;

writeFileSync(process.argv[2] ?? new URL('../docs/status.md', import.meta.url), `${text.trimEnd()}\n`);
