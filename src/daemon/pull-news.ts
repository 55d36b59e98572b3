// Pulls for pods that fail or take long, as news. Must not change how a pull goes.
import type { ImageVerbs } from '../cri/verbs.ts';
import { formatReference, parseReference } from '../image/reference.ts';
import { Failure, failureChain } from '../lib/failure.ts';
import type { News } from '../kube/news.ts';
import type { PullView } from '../image/progress.ts';

export interface PullNewsParts {
  readonly tell: (news: News) => void;
  /** The pulls that run. */
  readonly progress: () => readonly PullView[];
  /** 0: no pull is slow. */
  readonly slowMs: number;
}

/** The host that a failure is about; that of the reference when it names none. */
function hostOf(error: unknown, image: string): string {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof Failure && typeof at.details['host'] === 'string') return at.details['host'];
  try {
    return parseReference(image).domain;
  } catch {
    return 'nowhere'; // no reference at all: the cause says so
  }
}

/** An image as pulls under way are called; "" for what is no reference. */
function labelOf(image: string): string {
  try {
    return formatReference(parseReference(image));
  } catch {
    return ''; // its pull fails at once
  }
}

const stagesOf = ({ layers }: PullView): Record<string, number> => {
  const stages: Record<string, number> = {};
  for (const { stage } of layers) stages[stage] = (stages[stage] ?? 0) + 1;
  return stages;
};

/** ImageService's verbs, with news of what becomes of pulls for pods. */
export function withPullNews(verbs: ImageVerbs, { tell, progress, slowMs }: PullNewsParts): ImageVerbs {
  const slow = (pod: Extract<News, { type: 'pull-slow' }>['pod'], image: string): void => {
    const view = progress().find(({ reference }) => reference === labelOf(image));
    const layers = view?.layers ?? [];
    tell({
      type: 'pull-slow',
      pod,
      image,
      host: hostOf(null, image),
      seconds: Math.round(slowMs / 1000),
      bytes: layers.reduce((sum, { bytes }) => sum + bytes, 0),
      totalBytes: layers.reduce((sum, { totalBytes }) => sum + totalBytes, 0),
      stages: view ? stagesOf(view) : {},
    });
  };
  return {
    ...verbs,
    async pullImage(input, call) {
      const { pod, image } = input;
      if (pod === null || pod.uid === '') return verbs.pullImage(input, call);
      const timer = slowMs === 0 ? undefined : setTimeout(() => slow(pod, image.image), slowMs).unref();
      try {
        return await verbs.pullImage(input, call);
      } catch (error) {
        // whoever gives up has no failure to tell of
        if (!(error instanceof Failure && error.kind === 'cancelled'))
          tell({
            type: 'pull-failed',
            pod,
            image: image.image,
            host: hostOf(error, image.image),
            cause: failureChain(error),
          });
        throw error;
      } finally {
        clearTimeout(timer);
      }
    },
  };
}
