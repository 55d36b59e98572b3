// Every parser of what a registry, a client, a monitor, a user or an operator's file says. Run by test/unit/registry/parsers-fuzz.test.ts,
// for longer by hack/fuzz parsers.
import { challengeTarget, errorTarget, proxyTarget, retryTarget } from './answers.ts';
import type { Target } from './check.ts';
import { authConfigTarget, authTarget, confTarget, hostsTarget } from './configuration.ts';
import { configTarget, manifestTarget, referenceTarget } from './content.ts';
import { monitorTarget, spdyHeadersTarget, spdyInflateTarget, spdyTarget } from './frames.ts';
import { claimTarget, policyTarget, signaturesTarget } from './policies.ts';

/** All parsers. */
export const targets: readonly Target[] = [
  { name: 'reference', property: referenceTarget },
  { name: 'manifest', property: manifestTarget },
  { name: 'image config', property: configTarget },
  { name: 'hosts.toml', property: hostsTarget },
  { name: 'registries.conf', property: confTarget },
  { name: 'auth.json', property: authTarget },
  { name: 'AuthConfig', property: authConfigTarget },
  { name: 'WWW-Authenticate', property: challengeTarget },
  { name: 'Retry-After', property: retryTarget },
  { name: 'body of a refusal', property: errorTarget },
  { name: 'NO_PROXY', property: proxyTarget },
  { name: 'image policy', property: policyTarget },
  { name: 'signed text', property: claimTarget },
  { name: 'manifest of signatures', property: signaturesTarget },
  { name: 'SPDY frames', property: spdyTarget },
  { name: 'SPDY header block', property: spdyHeadersTarget },
  { name: 'compressed SPDY headers', property: spdyInflateTarget },
  { name: 'monitor frames', property: monitorTarget },
] as readonly Target[];
