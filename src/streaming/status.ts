// PURE
// How a command ended, as the error channel tells it: a Kubernetes metav1.Status in JSON, or plain text before v4.

/** How a session ended. */
export type Outcome =
  | { readonly kind: 'success' }
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'failed'; readonly message: string };

export const success: Outcome = { kind: 'success' };

/** The outcome of a command with this exit code. */
export const exited = (code: number): Outcome => (code === 0 ? success : { kind: 'exit', code });

/** The outcome of a command that could not be run or watched. */
export const failed = (message: string): Outcome => ({ kind: 'failed', message });

const messageOf = (outcome: Exclude<Outcome, { kind: 'success' }>): string =>
  outcome.kind === 'exit'
    ? `command terminated with non-zero exit code: exit status ${outcome.code}`
    : `Internal error occurred: ${outcome.message}`;

/** metav1.Status; exit codes stand in `details.causes` as clients since v4 look for them. */
export function statusJson(outcome: Outcome): string {
  if (outcome.kind === 'success') return JSON.stringify({ metadata: {}, status: 'Success' });
  const failure = { metadata: {}, status: 'Failure', message: messageOf(outcome) };
  if (outcome.kind === 'failed') return JSON.stringify({ ...failure, reason: 'InternalError', code: 500 });
  const causes = [{ reason: 'ExitCode', message: String(outcome.code) }];
  return JSON.stringify({ ...failure, reason: 'NonZeroExitCode', details: { causes } });
}

/** What protocols before v4 say: nothing of a success, else the message. */
export const statusText = (outcome: Outcome): string => (outcome.kind === 'success' ? '' : messageOf(outcome));
