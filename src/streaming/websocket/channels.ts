// PURE
// The channel protocols of Kubernetes over WebSocket: each message is a channel's number and its bytes.
// Must not know what a channel is for.

/** One way to write channels. */
export interface ChannelProtocol {
  /** The subprotocol; "" for clients that name none. */
  readonly name: string;
  /** Text messages with a character ("0" and those behind it) and base64, instead of binary ones with a byte and the bytes. */
  readonly base64: boolean;
  /** Whether a message [255, channel] ends that channel. */
  readonly closes: boolean;
  /** Whether the error channel has a metav1.Status in JSON; plain text otherwise. */
  readonly json: boolean;
}

const protocol = (name: string, about: Partial<ChannelProtocol>): ChannelProtocol => ({
  name,
  base64: false,
  closes: false,
  json: false,
  ...about,
});

/** Of exec and attach. */
export const commandChannels: readonly ChannelProtocol[] = [
  protocol('v5.channel.k8s.io', { closes: true, json: true }),
  protocol('v4.channel.k8s.io', { json: true }),
  protocol('v4.base64.channel.k8s.io', { base64: true, json: true }),
  protocol('channel.k8s.io', {}),
  protocol('base64.channel.k8s.io', { base64: true }),
  protocol('', {}),
];

/**
 * Of port-forward. Kubernetes has no end of a single channel here, and its clients must not be given one: that of
 * `podwright port-forward` has a name of its own.
 */
export const forwardChannels: readonly ChannelProtocol[] = [
  protocol('half-close.channel.podwright', { closes: true }),
  protocol('v4.channel.k8s.io', {}),
  protocol('v4.base64.channel.k8s.io', { base64: true }),
  protocol('', {}),
];

/** The first protocol of the client's list that is spoken; null for none. A client without a list speaks the oldest. */
export function chooseProtocol(header: string | undefined, spoken: readonly ChannelProtocol[]): ChannelProtocol | null {
  const wanted = (header ?? '').split(',').map((name) => name.trim());
  for (const name of wanted) {
    const found = spoken.find((one) => one.name === name);
    if (found) return found;
  }
  return null;
}

/** What one message says. */
export type ChannelMessage =
  | { readonly kind: 'data'; readonly channel: number; readonly bytes: Buffer }
  | { readonly kind: 'close'; readonly channel: number }
  /** Nothing: an empty message. */
  | { readonly kind: 'none' }
  | { readonly kind: 'wrong'; readonly why: string };

/** The first byte of a message that ends a channel. */
export const closeSignal = 255;
const base64Text = /^[A-Za-z0-9+/]*={0,2}$/;

/** Reads one message. */
export function decodeMessage({ base64, closes }: ChannelProtocol, message: Buffer): ChannelMessage {
  const [first] = message;
  if (first === undefined) return { kind: 'none' };
  if (closes && first === closeSignal) {
    const channel = message[1];
    if (channel === undefined || message.length !== 2)
      return { kind: 'wrong', why: 'a close signal without its channel' };
    return { kind: 'close', channel };
  }
  if (!base64) return { kind: 'data', channel: first, bytes: message.subarray(1) };
  const text = message.toString('latin1', 1);
  if (!base64Text.test(text)) return { kind: 'wrong', why: 'a message that is not base64' };
  return { kind: 'data', channel: first - 0x30, bytes: Buffer.from(text, 'base64') };
}

/**
 * Writes one message; the byte before `start` of a slab is used for the channel. The text of base64 is a copy, the
 * binary form is a view.
 */
export function encodeMessage(
  { base64 }: ChannelProtocol,
  channel: number,
  { slab, start, end }: { readonly slab: Buffer; readonly start: number; readonly end: number },
): Buffer | string {
  if (base64) return `${String.fromCharCode(0x30 + channel)}${slab.toString('base64', start, end)}`;
  slab[start - 1] = channel;
  return slab.subarray(start - 1, end);
}
