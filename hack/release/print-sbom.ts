// Prints the bill of materials of what would be released from here.
import { cargoComponents, nodeComponent, npmComponents } from './components.ts';
import { releaseFacts } from './facts.ts';
import { billOfMaterials } from './sbom.ts';

const facts = releaseFacts();
const components = [nodeComponent(), ...npmComponents(), ...cargoComponents(facts.rustArch)];
process.stdout.write(billOfMaterials(facts, components));
