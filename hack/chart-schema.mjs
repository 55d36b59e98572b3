// The schema of the chart's values: `config` from the settings of podwrightd, the rest written here.
import { entries } from '../src/config/schema.ts';

const string = { type: 'string' };
const flag = { type: 'boolean' };
const count = (minimum, maximum) => ({ type: 'integer', minimum, maximum });
const texts = { type: 'object', additionalProperties: string };
const free = { type: 'object' };
const list = (items) => ({ type: 'array', items });
const object = (properties) => ({ type: 'object', properties, additionalProperties: false });
const path = { type: 'string', pattern: '^$|^/' };
/** A directory that a purge removes whole: it is ours by its name, so that /etc or /var/lib cannot be meant. */
const ours = { type: 'string', pattern: '^/([^/]+/)*[^/]*podwright[^/]*/?$' };
/** A part of a path that leads down. */
const part = '[^/]*[^/.][^/]*';
/** A file in a directory that is ours by a part of its name; empty for the default. */
const oursIn = { type: 'string', pattern: `^$|^/(${part}/)*[^/]*podwright[^/]*/(${part}/)*${part}$` };
const port = count(1, 65535);

/** What the chart itself decides, so that values cannot: the release's own programs. */
const decided = new Set(['addon', 'monitor']);

/** What a value must be here beyond what podwrightd asks: nothing listens in public, what is removed or mounted is ours, and
 * pods get no bridge of ours. */
const narrowed = {
  root: ours,
  state: ours,
  'network.default': { enum: ['none'] },
  'metrics.socket': oursIn,
  'metrics.address': { type: 'string', pattern: '^$|^(127\\.[0-9.]+|\\[::1\\]|localhost):[0-9]{1,5}$' },
  'streaming.address': { type: 'string', pattern: '^(127\\.[0-9.]+|\\[::1\\]|localhost):[0-9]{1,5}$' },
};

/** The JSON schema of `values.config`, from the settings. */
export function configSchema() {
  const root = { type: 'object', additionalProperties: false, properties: {} };
  for (const { name, setting } of entries) {
    if (decided.has(name)) continue;
    const [key, section] = name.split('.').toReversed();
    const place = section === undefined ? root : (root.properties[section] ??= object({}));
    place.properties[key] = {
      description: setting.doc,
      ...(setting.derived === null ? { default: shown(setting) } : {}),
      ...(narrowed[name] ?? setting.kind.jsonSchema),
    };
  }
  return root;
}

// Lists and numbers are the same in TOML and JSON; tables are empty by default.
const shown = ({ kind, default: initial }) => JSON.parse(kind.show(initial));

const kubelet = object({
  switch: flag,
  restart: { enum: ['systemd', 'command'] },
  unit: { type: 'string', minLength: 1 },
  stopCommand: string,
  startCommand: string,
  config: path,
  env: path,
  dropIn: path,
  fromEndpoint: { type: 'string', pattern: '^(unix://)?/' },
  kubeconfig: path,
  graceSeconds: count(1, 86400),
  timeoutSeconds: count(30, 86400),
});

const metrics = object({
  enabled: flag,
  port,
  tls: object({ secretName: string }),
  resources: free,
  serviceMonitor: object({
    enabled: { enum: ['auto', true, false] },
    labels: texts,
    interval: { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' },
    scrapeTimeout: { type: 'string', pattern: '^[0-9]+(ms|s|m|h)$' },
    serviceAccount: object({ name: string, namespace: string }),
  }),
  networkPolicy: object({ enabled: flag, namespaceSelector: free, podSelector: free }),
});

/** The schema of all values, as values.schema.json has it. */
export const chartSchema = () => ({
  $schema: 'http://json-schema.org/draft-07/schema#',
  title: 'Values of the chart podwright',
  ...object({
    global: free,
    nameOverride: string,
    fullnameOverride: string,
    commonLabels: texts,
    image: object({
      repository: { type: 'string', minLength: 1 },
      tag: string,
      digest: { type: 'string', pattern: '^$|^sha256:[0-9a-f]{64}$' },
      pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
    }),
    imagePullSecrets: list({ type: 'object', required: ['name'], properties: { name: string } }),
    namespace: object({ create: flag, name: string }),
    apiServer: object({ host: string, port: count(0, 65535) }),
    config: configSchema(),
    kubelet,
    daemon: object({
      supervisor: { enum: ['', 'systemd', 'command', 'self'] },
      stopCommand: string,
      startCommand: string,
    }),
    host: object({ process: string, prefix: ours, configDir: ours, journalDir: ours, linkDir: path }),
    rollout: object({
      maxUnavailable: { type: ['integer', 'string'], minimum: 1, pattern: '^[1-9][0-9]?%$|^100%$' },
      minReadySeconds: count(0, 3600),
    }),
    uninstall: object({ restore: flag, purge: flag, timeoutSeconds: count(60, 86400) }),
    installer: object({
      resources: free,
      nodeSelector: texts,
      tolerations: list(free),
      affinity: free,
      priorityClassName: string,
      podAnnotations: texts,
    }),
    cni: object({ config: string, directory: { type: 'string', pattern: '^/' } }),
    runtimeClasses: object({ create: flag, prefix: { type: 'string', pattern: '^([a-z0-9]([a-z0-9-]*)?)?$' } }),
    rbac: object({ create: flag, ownNodeOnly: flag }),
    metrics,
    dashboard: object({ enabled: flag, labels: texts, annotations: texts }),
  }),
});
