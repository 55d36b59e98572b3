// Which fetch of the addon is of which layer. Must not fetch.
import { type ChainId, digestHex } from '../lib/id.ts';

/** Fetches of this process until now: the addon knows them all by their handles, of whichever store they are. */
let fetches = 0;

/** The fetch handle of a layer: its chain and a number that no other fetch of this process has. */
export const handleOf = (chainId: ChainId): string => `${digestHex(chainId).slice(0, 16)}-${(fetches += 1)}`;

/** Whether a fetch handle is of this layer. */
export const isHandleOf = (handle: string, chainId: ChainId): boolean =>
  handle.startsWith(`${digestHex(chainId).slice(0, 16)}-`);
