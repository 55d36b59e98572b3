// Spans of calls and of their stages, as values: for whoever collects traces.
// Must not decide what a call or a stage is.
/** How a call ended. */
export interface CallOutcome {
  /** Name of the gRPC code. */
  readonly code: string;
  /** Number of the gRPC code. */
  readonly number: number;
  /** "" for OK. Never secrets. */
  readonly message: string;
  /** Names of the objects it was about. Never secrets. */
  readonly subject: Readonly<Record<string, string | number>>;
}

/** The span of one call. */
export interface CallSpan {
  /** Runs work that belongs to the call: stages that begin in it are its children. */
  readonly run: <T>(work: () => T) => T;
  readonly end: (outcome: CallOutcome) => void;
}

/** One stage that begins. */
export interface BeginningStage {
  readonly rpc: string;
  readonly name: string;
  /** A sandbox id, or the reference of an image. */
  readonly subject: string;
}

/** Ends the span of a stage; null: it succeeded. */
export type EndStage = (error: unknown) => void;

/** Where spans are made. */
export interface Spans {
  /** Begins the span of an RPC (`/package.Service/Method`); `metadata` gives the caller's, "" for none. Null: off. */
  readonly beginCall: (path: string, metadata: (key: string) => string) => CallSpan | null;
  /** Begins the span of a stage of the call that runs. */
  readonly beginStage: (stage: BeginningStage) => EndStage;
  /** Sends what is still here, as long as a bound allows. */
  readonly close: () => Promise<void>;
}

const nothing: EndStage = () => undefined;

/** No spans, at no cost. */
export const noSpans: Spans = {
  beginCall: () => null,
  beginStage: () => nothing,
  close: () => Promise.resolve(),
};

/** A log line. */
export type SpanLog = (level: 'info' | 'warn', fields: Readonly<Record<string, unknown>>, message: string) => void;
