// Labelled steps: where a test may have the daemon die or a call fail (docs/reliability.md).

/** Passes a step. Throws when a test has it fail; may not return at all. */
export type Step = (label: string) => void;

/** What a daemon passes that no test told otherwise. */
export const noStep: Step = () => undefined;

type Named<T> = readonly (keyof T & string)[];

/** The methods of a port that change something outside the daemon, by how they answer. */
export interface Effects<T> {
  /** What the port is called in labels. */
  readonly name: string;
  /** Those that answer by a promise. */
  readonly later: Named<T>;
  /** Those that answer at once. */
  readonly atOnce: Named<T>;
}

type Method = (...args: unknown[]) => unknown;

/**
 * The same port, with a step before each of its effects and one after it: `NAME.METHOD` and `NAME.METHOD done`. One that
 * is made to fail before has not happened; after, it has, and its caller does not know. Without steps it is the port itself.
 */
export function withSteps<T extends object>(port: T, effects: Effects<T>, step: Step): T {
  if (step === noStep) return port;
  const labelled = (method: string, call: Method): Method => {
    const label = `${effects.name}.${method}`;
    if (effects.later.includes(method as keyof T & string)) {
      return async (...args) => {
        step(label);
        const answer = await call(...args);
        step(`${label} done`);
        return answer;
      };
    }
    if (!effects.atOnce.includes(method as keyof T & string)) return call;
    return (...args) => {
      step(label);
      const answer = call(...args);
      step(`${label} done`);
      return answer;
    };
  };
  return new Proxy(port, {
    get(target, key) {
      // classes with private fields know only themselves, not what stands before them
      const value: unknown = Reflect.get(target, key, target);
      if (typeof value !== 'function' || typeof key !== 'string') return value;
      return labelled(key, (value as Method).bind(target));
    },
  });
}
