// Wishes of plugins with only what a test is about.
import { decodeNri, encodeNri } from '../../../src/proto/nri-codec.ts';
import type { Adjustment, Update, WireContainer, WireResources } from '../../../src/nri/wire.ts';

/** A whole message of some of its fields, as it would arrive. */
export const message = (name: string, part: object): object => decodeNri(name, encodeNri(name, part));

export const adjustment = (part: object): Adjustment => message('ContainerAdjustment', part) as Adjustment;
export const update = (part: object): Update => message('ContainerUpdate', part) as Update;
export const resources = (part: object): WireResources => message('LinuxResources', part) as WireResources;
export const container = (part: object = {}): WireContainer =>
  message('Container', { id: 'c', linux: {}, ...part }) as WireContainer;
