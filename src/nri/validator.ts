// PURE
// The default validator: what of the plugins' wishes the node's configuration does not allow (nri, default-validator).
import { parse } from 'yaml';
import { permissionDenied } from '../lib/failure.ts';
import type { Owners } from './owners.ts';
import type { Adjustment, WireContainer, WirePod } from './wire.ts';

/** The `[nri]` settings that begin with `validate`, `reject`, `require` and `tolerate`. */
export interface ValidatorSettings {
  readonly validate: boolean;
  readonly rejectOciHookAdjustment: boolean;
  readonly rejectRuntimeDefaultSeccompAdjustment: boolean;
  readonly rejectUnconfinedSeccompAdjustment: boolean;
  readonly rejectCustomSeccompAdjustment: boolean;
  readonly rejectNamespaceAdjustment: boolean;
  readonly rejectSysctlAdjustment: boolean;
  readonly requiredPlugins: readonly string[];
  readonly tolerateMissingPluginsAnnotation: string;
}

/** Everything that plugins did to one container. */
export interface Validated {
  readonly pod: WirePod;
  readonly container: WireContainer;
  readonly adjust: Adjustment;
  readonly owners: Owners;
  /** The plugins that were asked. */
  readonly plugins: readonly { readonly name: string; readonly index: string }[];
}

/** Annotation of a pod that names plugins without which its containers are not made. */
const requiredAnnotation = 'required-plugins.noderesource.dev';

const refuse = (why: string) => permissionDenied(`the NRI validator rejects the container: ${why}`);

/** A pod's annotation for one of its containers: the nearest one counts. */
function effective({ annotations }: WirePod, key: string, container: string): string | null {
  const found = [`${key}/container.${container}`, `${key}/pod`, key].find((name) => Object.hasOwn(annotations, name));
  return found === undefined ? null : (annotations[found] ?? null);
}

/** Throws permission-denied where something is not allowed, naming the plugins that did it. */
export function validateByDefault(settings: ValidatorSettings, made: Validated): void {
  if (!settings.validate) return;
  const { container, owners, adjust } = made;
  const { id } = container;
  const hooks = owners.of({ id, field: 'OciHooks' });
  if (settings.rejectOciHookAdjustment && hooks !== null) throw refuse(`plugins ${hooks} add OCI hooks`);
  refuseSeccomp(settings, made);
  const namespaces = [...owners.entries(id, 'Namespace')].map(([type, owner]) => `${owner} (${type})`);
  if (settings.rejectNamespaceAdjustment && namespaces.length > 0)
    throw refuse(`plugins ${namespaces.join(', ')} change namespaces`);
  const sysctls = Object.keys(adjust.linux?.sysctl ?? {});
  if (settings.rejectSysctlAdjustment && sysctls.length > 0) {
    const by = new Set(owners.entries(id, 'Sysctl').values());
    throw refuse(`plugins ${[...by].join(', ')} set ${sysctls.join(', ')}`);
  }
  requirePlugins(settings, made);
}

function refuseSeccomp(settings: ValidatorSettings, { container, owners }: Validated): void {
  const owner = owners.of({ id: container.id, field: 'SeccompPolicy' });
  if (owner === null) return;
  const type = container.linux?.seccompProfile?.profileType ?? 'UNCONFINED';
  const rejected = {
    RUNTIME_DEFAULT: settings.rejectRuntimeDefaultSeccompAdjustment,
    UNCONFINED: settings.rejectUnconfinedSeccompAdjustment,
    LOCALHOST: settings.rejectCustomSeccompAdjustment,
  };
  if (rejected[type as keyof typeof rejected]) throw refuse(`plugin ${owner} replaces the seccomp profile (${type})`);
}

function requirePlugins(settings: ValidatorSettings, { pod, container, plugins }: Validated): void {
  const { tolerateMissingPluginsAnnotation: tolerate } = settings;
  if (tolerate !== '') {
    const value = effective(pod, tolerate, container.name);
    if (value !== null && !['true', 'false'].includes(value))
      throw refuse(`annotation ${tolerate} is ${JSON.stringify(value)}, not "true" or "false"`);
    if (value === 'true') return;
  }
  const annotated = effective(pod, requiredAnnotation, container.name);
  const required = [...settings.requiredPlugins, ...(annotated === null ? [] : listOf(annotated))];
  const present = new Set(plugins.flatMap(({ name, index }) => [name, `${index}-${name}`]));
  const missing = required.filter((name) => !present.has(name));
  if (missing.length > 0) throw refuse(`required plugins are not there: ${missing.join(', ')}`);
}

function listOf(text: string): string[] {
  let value: unknown;
  try {
    value = parse(text, { maxAliasCount: 0 });
  } catch (error) {
    throw permissionDenied(`annotation ${requiredAnnotation} is no YAML`, error);
  }
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string'))
    throw refuse(`annotation ${requiredAnnotation} is no list of names`);
  return value;
}
