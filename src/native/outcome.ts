// How every call of the addon answers.

/** A failure as the addon reports it (native/crates/addon/src/error.rs). */
export interface NativeFailure {
  readonly operation: string;
  readonly syscall: string;
  readonly errno: number;
  readonly object: string;
  readonly message: string;
}

/** What every export returns. */
export type Outcome<T> = { readonly ok: T } | { readonly err: NativeFailure };
