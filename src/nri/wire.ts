// PURE
// The messages of proto/nri/v1alpha1/api.proto by short names: as they are received, and as they are sent.
export type { Container__Output as WireContainer } from '../proto/generated/nri/nri/pkg/api/v1alpha1/Container.ts';
export type { PodSandbox__Output as WirePod } from '../proto/generated/nri/nri/pkg/api/v1alpha1/PodSandbox.ts';
export type { ContainerAdjustment__Output as Adjustment } from '../proto/generated/nri/nri/pkg/api/v1alpha1/ContainerAdjustment.ts';
export type { LinuxContainerAdjustment__Output as LinuxAdjustment } from '../proto/generated/nri/nri/pkg/api/v1alpha1/LinuxContainerAdjustment.ts';
export type { ContainerUpdate__Output as Update } from '../proto/generated/nri/nri/pkg/api/v1alpha1/ContainerUpdate.ts';
export type { ContainerEviction__Output as Eviction } from '../proto/generated/nri/nri/pkg/api/v1alpha1/ContainerEviction.ts';
export type { LinuxResources__Output as WireResources } from '../proto/generated/nri/nri/pkg/api/v1alpha1/LinuxResources.ts';
export type { LinuxMemory__Output as WireMemory } from '../proto/generated/nri/nri/pkg/api/v1alpha1/LinuxMemory.ts';
export type { LinuxCPU__Output as WireCpu } from '../proto/generated/nri/nri/pkg/api/v1alpha1/LinuxCPU.ts';
export type { LinuxDevice__Output as WireDevice } from '../proto/generated/nri/nri/pkg/api/v1alpha1/LinuxDevice.ts';
export type { LinuxSeccomp__Output as WireSeccomp } from '../proto/generated/nri/nri/pkg/api/v1alpha1/LinuxSeccomp.ts';
export type { Mount__Output as WireMount } from '../proto/generated/nri/nri/pkg/api/v1alpha1/Mount.ts';
export type { Hooks__Output as WireHooks } from '../proto/generated/nri/nri/pkg/api/v1alpha1/Hooks.ts';
export type { KeyValue__Output as WireKeyValue } from '../proto/generated/nri/nri/pkg/api/v1alpha1/KeyValue.ts';
export type { OwningPlugins__Output as WireOwners } from '../proto/generated/nri/nri/pkg/api/v1alpha1/OwningPlugins.ts';
export type { FailurePolicy__Output as FailurePolicy } from '../proto/generated/nri/nri/pkg/api/v1alpha1/FailurePolicy.ts';

/** Events that a plugin can be told of (api.proto, Event), with the call that tells them and what it is answered. */
export const eventNumbers = {
  RunPodSandbox: 1,
  StopPodSandbox: 2,
  RemovePodSandbox: 3,
  CreateContainer: 4,
  PostCreateContainer: 5,
  StartContainer: 6,
  PostStartContainer: 7,
  UpdateContainer: 8,
  PostUpdateContainer: 9,
  StopContainer: 10,
  RemoveContainer: 11,
  UpdatePodSandbox: 12,
  PostUpdatePodSandbox: 13,
  ValidateContainerAdjustment: 14,
} as const;

/** The name of an event: also of its call. */
export type EventName = keyof typeof eventNumbers;

/** The mask of all events. */
export const allEvents = (1 << 14) - 1;

/** Whether a mask holds an event. */
export const hasEvent = (mask: number, event: EventName): boolean => (mask & (1 << (eventNumbers[event] - 1))) !== 0;

/** Events that older plugins take by StateChange: they return nothing. */
export const oldEvents: ReadonlySet<EventName> = new Set<EventName>([
  'RunPodSandbox',
  'PostUpdatePodSandbox',
  'StopPodSandbox',
  'RemovePodSandbox',
  'PostCreateContainer',
  'StartContainer',
  'PostStartContainer',
  'PostUpdateContainer',
  'RemoveContainer',
]);

/** A name without the mark of removal, a leading "-"; null when it is not marked. */
export const removed = (name: string): string | null => (name.startsWith('-') ? name.slice(1) : null);

/** A name with the mark. */
export const markRemoved = (name: string): string => `-${name}`;
