import test from 'ava';
import { criMessage } from '../../../src/proto/cri-codec.ts';
import { fieldCheck, policyOf } from '../../../src/cri/field-check.ts';
import { fieldPolicies, type HostOffers } from '../../../src/cri/field-policy.ts';
import { imageService } from '../../../src/cri/image-service.ts';
import { criFields, criMethods, requestType } from '../../../src/cri/reflection.ts';
import { runtimeService } from '../../../src/cri/runtime-service.ts';

const plain: HostOffers = {};
const served = [
  ...Object.keys(runtimeService).map((method) => requestType('RuntimeService', method)),
  ...Object.keys(imageService).map((method) => requestType('ImageService', method)),
];

/** Decodes as the border does, then checks. */
function check(type: string, request: object, host: HostOffers = plain): void {
  const codec = criMessage(type);
  fieldCheck(type, criFields, host)(codec.deserialize(codec.serialize(request)));
}

/** Message types whose fields are decided: those reached through honoured fields of served requests. */
function reachable(): Set<string> {
  const seen = new Set<string>();
  const walk = (type: string): void => {
    const fields = criFields(type);
    if (fields === null || seen.has(type)) return;
    seen.add(type);
    for (const field of fields) if (policyOf(type, field.name).is === 'honoured') walk(field.type);
  };
  served.forEach(walk);
  return seen;
}

test('every field of every served request has a policy, and the table has nothing else', (t) => {
  const types = reachable();
  for (const type of types) {
    const names = (criFields(type) ?? []).map(({ name }) => name);
    t.deepEqual(Object.keys(fieldPolicies[type] ?? {}).toSorted(), names.toSorted(), type);
  }
  t.deepEqual(Object.keys(fieldPolicies).toSorted(), [...types].toSorted());
});

test('all 43 RPCs are served', (t) => {
  t.is(served.length, 43);
  t.is(criMethods('RuntimeService').length, 37);
  t.is(criMethods('ImageService').length, 6);
});

test('what the kubelet always sends passes', (t) => {
  t.notThrows(() =>
    check('CreateContainerRequest', {
      pod_sandbox_id: 'x',
      sandbox_config: { linux: { security_context: { namespace_options: { userns_options: { mode: 'POD' } } } } },
      config: {
        windows: { security_context: { host_process: true } },
        linux: {
          security_context: {
            namespace_options: { pid: 'CONTAINER', userns_options: { mode: 'NODE' } },
            selinux_options: { type: 't' },
            apparmor: { profile_type: 'RuntimeDefault' },
            apparmor_profile: 'runtime/default',
          },
        },
        mounts: [{ selinux_relabel: true }, { image: { image: 'i', image_ref: 'i@sha256:1' } }],
      },
    }),
  );
});
