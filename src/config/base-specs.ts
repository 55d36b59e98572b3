// Base specs that the configuration names: read and checked with it, so that a mistake is told before anything runs.
import { readFileSync } from 'node:fs';
import { invalidArgument } from '../lib/failure.ts';
import { type BaseSpec, noBase, parseBaseSpec } from '../oci/base-spec.ts';
import type { Config } from './schema.ts';

/** The base spec of a handler's containers, "" being our own; `noBase` where none is named. */
export type BaseSpecs = (handler: string) => BaseSpec;

/** Reads them all. Throws invalid-argument naming the setting, the file and the member that cannot be taken. */
export function readBaseSpecs({ node, container }: Pick<Config, 'node' | 'container'>): BaseSpecs {
  const own = read('container.base_runtime_spec', container.baseRuntimeSpec);
  const others = new Map(
    Object.entries(node.runtimes).map(([name, { baseRuntimeSpec }]) => [
      name,
      read(`runtimes.${name}.base_runtime_spec`, baseRuntimeSpec),
    ]),
  );
  return (handler) => (handler === '' || handler === 'podwright' ? own : (others.get(handler) ?? noBase));
}

function read(setting: string, file: string): BaseSpec {
  if (file === '') return noBase;
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw invalidArgument(`${setting}: could not read ${file}`, error);
  }
  const spec = parseBaseSpec(text);
  if (typeof spec === 'string') throw invalidArgument(`${setting}: ${file}: ${spec}`);
  return spec;
}
