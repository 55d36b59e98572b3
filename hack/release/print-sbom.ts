// Prints the bill of materials of what would be released from here: print-sbom.ts [--arch ARCH].
import { parseArgs } from 'node:util';
import { cargoComponents, nodeComponent, npmComponents } from './components.ts';
import { releaseFacts } from './facts.ts';
import { billOfMaterials } from './sbom.ts';

const { values } = parseArgs({ options: { arch: { type: 'string' } } });
const facts = releaseFacts(values.arch);
const components = [nodeComponent(), ...npmComponents(), ...cargoComponents(facts.rustArch)];
process.stdout.write(billOfMaterials(facts, components));
