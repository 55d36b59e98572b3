// Every function of the addon, in the order of the crate `native/crates/addon`, one section a file.
// Conventions: names and order as in Rust; `null` for none, no optional properties; every export
// answers an `Outcome`, which `load.ts` turns into a value or a thrown `NativeError`.

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

// ---- process.rs

export interface ProcessExports {
  /** The kernel's boot id. */
  bootId(): Outcome<string>;
}

/** The raw module, as `require` gives it. */
export type RawAddon = ProcessExports;
