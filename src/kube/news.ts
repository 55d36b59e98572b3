// PURE
// What this node tells the API server about its pods and itself, as values, and the words of each.
// Must not know how it is sent.
import { type OomLimit, oomCause } from '../lib/oom.ts';

/** A pod as the API server knows it. */
export interface PodRef {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
}

/** Memory of a cgroup in bytes; null: not known, or no limit. */
export interface MemoryNow {
  readonly usage: number | null;
  readonly peak: number | null;
  readonly limit: number | null;
}

/** Something that happened. */
export type News =
  | {
      readonly type: 'oom';
      readonly pod: PodRef;
      readonly container: string;
      /** The container ends by it; otherwise one of its other processes was killed. */
      readonly main: boolean;
      readonly kills: number;
      readonly limit: OomLimit;
      readonly limitBytes: number;
      /** Right after the kill. */
      readonly containerMemory: MemoryNow | null;
      readonly podMemory: MemoryNow | null;
    }
  | {
      readonly type: 'pull-failed';
      readonly pod: PodRef;
      readonly image: string;
      readonly host: string;
      readonly cause: string;
    }
  | {
      readonly type: 'pull-slow';
      readonly pod: PodRef;
      readonly image: string;
      readonly host: string;
      readonly seconds: number;
      readonly bytes: number;
      /** 0: not known yet. */
      readonly totalBytes: number;
      /** Layers by stage. */
      readonly stages: Readonly<Record<string, number>>;
    }
  | {
      readonly type: 'disk-full';
      readonly pod: PodRef;
      readonly container: string;
      readonly usedBytes: number;
      readonly limitBytes: number;
    }
  /** What earlier daemons left behind and this one took away. */
  | { readonly type: 'swept'; readonly what: readonly string[] };

/** An event before it is decided whether and how it is sent. */
export interface EventDraft {
  /** The pod it is about; null: the node. */
  readonly pod: PodRef | null;
  /** The container it is about, "" for none. */
  readonly container: string;
  readonly type: 'Normal' | 'Warning';
  /** CamelCase word. */
  readonly reason: string;
  readonly message: string;
  /** Unix milliseconds. */
  readonly atMs: number;
}

/** The API server takes no longer messages (its NoteLengthLimit). */
const longestMessage = 1024;

const units = ['', 'Ki', 'Mi', 'Gi', 'Ti'];

/** "64Mi", "1.5Gi": at most one digit behind the point. */
export function quantity(bytes: number): string {
  let value = bytes;
  let at = 0;
  for (; value >= 1024 && at < units.length - 1; at += 1) value /= 1024;
  return `${Number(value.toFixed(1))}${units[at] ?? ''}`;
}

function memoryText(whose: string, memory: MemoryNow | null): string {
  if (memory === null) return '';
  const { usage, peak, limit } = memory;
  const parts = [
    usage === null ? '' : `uses ${quantity(usage)}`,
    peak === null ? '' : `used at most ${quantity(peak)}`,
    limit === null ? 'has no limit' : `may use ${quantity(limit)}`,
  ];
  return `; ${whose} ${parts.filter((part) => part !== '').join(', ')}`;
}

function oomText({ container, main, kills, ...news }: Extract<News, { type: 'oom' }>): string {
  const what = main
    ? `container ${container} was OOM killed`
    : `a process of container ${container} was OOM killed; the container goes on`;
  const cause = oomCause(news);
  const reached = news.limit === 'node' ? '' : ' was reached';
  const memory = memoryText('the container', news.containerMemory) + memoryText('its pod', news.podMemory);
  return `${what}${cause === '' ? '' : `: ${cause}${reached}`} (${kills} killed so far)${memory}`;
}

function slowText({ image, host, seconds, ...news }: Extract<News, { type: 'pull-slow' }>): string {
  const { bytes, totalBytes, stages } = news;
  const what = `pulling image ${image} from ${host} takes long: after ${seconds} s`;
  if (totalBytes === 0) return `${what} its manifest is not here`;
  const layers = Object.entries(stages).map(([stage, count]) => `${count} ${stage}`);
  const speed = `${quantity(bytes / Math.max(seconds, 1))} per second`;
  return `${what} ${quantity(bytes)} of ${quantity(totalBytes)} are here (${speed}); layers: ${layers.join(', ')}`;
}

const cut = (text: string): string => (text.length > longestMessage ? `${text.slice(0, longestMessage - 3)}...` : text);

/** The event of it. */
export function eventDraft(news: News, atMs: number): EventDraft {
  const about = (reason: string, message: string, container = ''): EventDraft => ({
    pod: news.type === 'swept' ? null : news.pod,
    container,
    type: news.type === 'swept' ? 'Normal' : 'Warning',
    reason,
    message: cut(message),
    atMs,
  });
  switch (news.type) {
    case 'oom':
      return about('OOMKilling', oomText(news), news.container);
    case 'pull-failed':
      return about('ImagePullFailed', `could not pull image ${news.image} from ${news.host}: ${news.cause}`);
    case 'pull-slow':
      return about('ImagePullSlow', slowText(news));
    case 'disk-full':
      return about(
        'DiskQuotaReached',
        `the writable layer of container ${news.container} holds ${quantity(news.usedBytes)}, its limit is ${quantity(news.limitBytes)}: writes fail`,
        news.container,
      );
    case 'swept':
      return about('LeftoversSwept', `took away what was left behind: ${news.what.join(', ')}`);
  }
}
