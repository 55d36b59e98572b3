// The default validator: what it lets pass, and what it says of what it does not.
import test from 'ava';
import { Collected } from '../../../src/nri/collect.ts';
import { validateByDefault, type ValidatorSettings } from '../../../src/nri/validator.ts';
import type { WirePod } from '../../../src/nri/wire.ts';
import { adjustment, container, message } from './wishes.ts';

const off: ValidatorSettings = {
  validate: true,
  rejectOciHookAdjustment: false,
  rejectRuntimeDefaultSeccompAdjustment: false,
  rejectUnconfinedSeccompAdjustment: false,
  rejectCustomSeccompAdjustment: false,
  rejectNamespaceAdjustment: false,
  rejectSysctlAdjustment: false,
  requiredPlugins: [],
  tolerateMissingPluginsAnnotation: '',
};

interface Case {
  readonly wish?: object;
  readonly profile?: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

function validate(settings: Partial<ValidatorSettings>, { wish = {}, profile, annotations = {} }: Case): void {
  const all = new Collected('c');
  all.add(adjustment(wish), '10-x');
  const linux = profile === undefined ? {} : { seccompProfile: { profileType: profile } };
  validateByDefault(
    { ...off, ...settings },
    {
      pod: message('PodSandbox', { annotations }) as WirePod,
      container: container({ name: 'main', linux }),
      adjust: all.adjustment,
      owners: all.owners,
      plugins: [{ name: 'x', index: '10' }],
    },
  );
}

const seccomp = { linux: { seccompPolicy: { defaultAction: 'SCMP_ACT_ALLOW' } } };

/** Each thing that can be rejected: the setting, and the case that it rejects. */
const rejected: Readonly<Record<string, readonly [Partial<ValidatorSettings>, Case, RegExp]>> = {
  hooks: [{ rejectOciHookAdjustment: true }, { wish: { hooks: { poststop: [{ path: '/h' }] } } }, /10-x add OCI hooks/],
  'the default profile': [
    { rejectRuntimeDefaultSeccompAdjustment: true },
    { wish: seccomp, profile: 'RUNTIME_DEFAULT' },
    /RUNTIME_DEFAULT/,
  ],
  'no profile': [{ rejectUnconfinedSeccompAdjustment: true }, { wish: seccomp, profile: 'UNCONFINED' }, /UNCONFINED/],
  'no profile that is told': [{ rejectUnconfinedSeccompAdjustment: true }, { wish: seccomp }, /UNCONFINED/],
  'a profile of its own': [
    { rejectCustomSeccompAdjustment: true },
    { wish: seccomp, profile: 'LOCALHOST' },
    /LOCALHOST/,
  ],
  namespaces: [
    { rejectNamespaceAdjustment: true },
    { wish: { linux: { namespaces: [{ type: 'ipc' }] } } },
    /10-x \(ipc\)/,
  ],
  sysctls: [{ rejectSysctlAdjustment: true }, { wish: { linux: { sysctl: { 'net.x': '1' } } } }, /10-x set net\.x/],
  'a required plugin': [{ requiredPlugins: ['x', '10-x', 'y', '20-x'] }, {}, /not there: y, 20-x$/],
  'a plugin that the pod requires': [
    {},
    { annotations: { 'required-plugins.noderesource.dev': '[y]' } },
    /not there: y$/,
  ],
  'a plugin that the container requires': [
    {},
    {
      annotations: {
        'required-plugins.noderesource.dev/container.main': '[z]',
        'required-plugins.noderesource.dev': '[x]',
      },
    },
    /not there: z$/,
  ],
  'an annotation that is no YAML': [{}, { annotations: { 'required-plugins.noderesource.dev': '{' } }, /no YAML/],
  'an annotation that is no list': [{}, { annotations: { 'required-plugins.noderesource.dev': 'a: b' } }, /no list/],
};

for (const [what, [settings, made, message]] of Object.entries(rejected)) {
  test(`rejected: ${what}, and only by its setting`, (t) => {
    t.throws(() => validate(settings, made), { message });
    t.notThrows(() => validate({ ...settings, validate: false }, made));
    if (Object.keys(settings).length > 0) t.notThrows(() => validate({}, made));
  });
}

test('a pod may do without required plugins where the node says by which annotation', (t) => {
  const settings = { requiredPlugins: ['y'], tolerateMissingPluginsAnnotation: 'tolerate' };
  t.notThrows(() => validate(settings, { annotations: { tolerate: 'true' } }));
  t.notThrows(() => validate(settings, { annotations: { 'tolerate/container.main': 'true', tolerate: 'false' } }));
  t.throws(() => validate(settings, { annotations: { tolerate: 'false' } }), { message: /not there/ });
  t.throws(() => validate(settings, { annotations: { 'tolerate/container.other': 'true' } }), { message: /not there/ });
  t.throws(() => validate(settings, { annotations: { tolerate: 'yes' } }), { message: /not "true" or "false"/ });
});
