// PURE
// What a URL stands for, once a CRI call was checked.

/** Exec of a command. */
export interface ExecTicket {
  readonly kind: 'exec';
  readonly containerId: string;
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** Attach to a container's main process. */
export interface AttachTicket {
  readonly kind: 'attach';
  readonly containerId: string;
  readonly tty: boolean;
  readonly stdin: boolean;
  readonly stdout: boolean;
  readonly stderr: boolean;
}

/** Port-forward into a pod. */
export interface PortForwardTicket {
  readonly kind: 'portforward';
  readonly sandboxId: string;
  /** Ports of the oldest protocol over WebSocket; other protocols name theirs later. */
  readonly ports: readonly number[];
}

export type Ticket = ExecTicket | AttachTicket | PortForwardTicket;

/** The kind and token of a request's path; null for any other path. */
export function parsePath(path: string): { readonly kind: Ticket['kind']; readonly token: string } | null {
  const [, kind, token] = /^\/(exec|attach|portforward)\/([A-Za-z0-9_-]{1,128})$/.exec(path) ?? [];
  return kind === undefined || token === undefined ? null : { kind: kind as Ticket['kind'], token };
}

/** Which of the client's protocols is spoken: the first of its list that is known; null for none. */
export function negotiate<T extends string>(header: string | undefined, spoken: readonly T[]): T | null {
  const wanted = (header ?? '').split(',').map((name) => name.trim());
  for (const name of wanted) {
    const found = spoken.find((one) => one === name);
    if (found !== undefined) return found;
  }
  return null;
}
