// A WebSocket client of Kubernetes channels for tests.
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { until } from './until.ts';

/** What came, by channel. */
export class ChannelClient {
  readonly ws: WebSocket;
  readonly messages: Buffer[] = [];
  /** Whether messages were text. */
  readonly texts: boolean[] = [];
  /** The code of the close; null before. */
  closeCode: number | null = null;

  private constructor(ws: WebSocket) {
    this.ws = ws;
    ws.on('message', (message: Buffer, isBinary) => {
      this.messages.push(message);
      this.texts.push(!isBinary);
    });
    ws.on('close', (code) => void (this.closeCode = code));
    ws.on('error', () => undefined);
  }

  /** Connects; `protocols` "" names none. Rejects when the upgrade is refused. */
  static async connect(url: string, protocols: string | readonly string[]): Promise<ChannelClient> {
    const list = protocols === '' ? [] : [protocols].flat();
    const ws = new WebSocket(url.replace(/^http/, 'ws'), list, { rejectUnauthorized: false });
    const client = new ChannelClient(ws);
    await once(ws, 'open');
    return client;
  }

  /** The bytes of a channel so far, without the message that says it is there. */
  bytes(channel: number): Buffer {
    const mine = this.messages.filter(
      (message, i) => (this.texts[i] ? Number(String.fromCharCode(message[0] ?? 0)) : message[0]) === channel,
    );
    const isText = this.texts[0] === true;
    return Buffer.concat(
      mine.map((one) => (isText ? Buffer.from(one.toString().slice(1), 'base64') : one.subarray(1))),
    );
  }

  text(channel: number): string {
    return this.bytes(channel).toString();
  }

  /** Sends in the binary form. */
  send(channel: number, bytes: string | Buffer): void {
    this.ws.send(Buffer.concat([Buffer.from([channel]), Buffer.from(bytes as string)]));
  }

  /** Sends in the form of base64. */
  sendText(channel: number, bytes: string): void {
    this.ws.send(`${channel}${Buffer.from(bytes).toString('base64')}`);
  }

  /** Waits until a channel has said something, and goes without a word; fails when the session ends before. */
  async hear(channel: number, text: string): Promise<void> {
    try {
      const came = (): boolean => this.bytes(channel).includes(text);
      await until(`"${text}" or the end`, () => came() || this.closeCode !== null);
      if (!came()) throw new Error(`the session ended with ${this.closeCode} before "${text}": ${this.text(3)}`);
    } finally {
      this.ws.terminate();
    }
  }

  async closed(): Promise<number> {
    return until('the connection is closed', () => this.closeCode);
  }
}
