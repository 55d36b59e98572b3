// PURE
// What other rooms ask of the network and what they get, as values.

/** CRI PortMapping; `hostPort` 0 means "not published". */
export interface PortMapping {
  readonly protocol: 'tcp' | 'udp' | 'sctp';
  readonly containerPort: number;
  readonly hostPort: number;
  /** Address of the host to publish on; empty, `0.0.0.0` and `::` mean all. */
  readonly hostIp: string;
}

/** A pod that wants to be connected. */
export interface AttachRequest {
  readonly sandboxId: string;
  /** Path of the pinned network namespace. */
  readonly netns: string;
  readonly podName: string;
  readonly podNamespace: string;
  readonly podUid: string;
  readonly portMappings: readonly PortMapping[];
  readonly dns: {
    readonly servers: readonly string[];
    readonly searches: readonly string[];
    readonly options: readonly string[];
  };
  readonly annotations: Readonly<Record<string, string>>;
  readonly cgroupParent: string;
}

/** A connected pod. */
export interface Attachment {
  /** Without prefix length, primary first. */
  readonly ips: readonly string[];
  /** The interface inside the pod. */
  readonly interface: string;
  /** Its other end in the host; null where a plugin did not say. */
  readonly hostInterface: string | null;
}

/** A connected pod as inspection shows it. */
export interface AttachmentView extends Attachment {
  readonly sandboxId: string;
  /** Name of the network. */
  readonly network: string;
  /** Who connected it. */
  readonly driver: 'bridge' | 'plugins';
}

/** Name of the interface inside every pod: what the kubelet and cAdvisor look for. */
export const podInterface = 'eth0';

/** Writes to the daemon's log. */
export type NetworkLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  fields: Readonly<Record<string, unknown>>,
  message: string,
) => void;
