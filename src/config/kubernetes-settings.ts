// PURE
// What the API server of Kubernetes is told: the section `kubernetes`.
import { duration, flag, path, text } from './kinds.ts';
import { setting } from './setting.ts';

/** The section's settings. */
export const kubernetesSettings = {
  kubeconfig: setting(path(true), '', {
    doc: 'Credentials for the API server, which is told of pods, the node and its handlers (docs/kubernetes.md); empty: it is told nothing.',
  }),
  nodeName: setting(text(/^$|^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, 'the name of a node, in lower case'), '', {
    doc: "This node's name in the cluster: the kubelet's --hostname-override, if it has one.",
    derived: "the host's name in lower case",
  }),
  condition: setting(flag, true, { doc: 'Keep the node condition PodwrightHealthy.' }),
  events: setting(flag, true, {
    doc: 'Send events on pods: OOM kills, pulls that fail or are slow, full writable layers; and on the node: leftovers that were swept.',
  }),
  slowPullMs: setting(duration, 60_000, {
    doc: 'A pull for a pod that takes longer is told by an event; "0s" for none.',
  }),
  runtimeClasses: setting(flag, false, {
    doc: "Keep a RuntimeClass for each runtime handler, and labels on the node that lead their pods here. A kubelet's own credentials do not do.",
  }),
} as const;
