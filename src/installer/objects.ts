// Single objects of the Kubernetes API, as the installer reads and changes them.
// Must not know what they mean.
import { statusMessage, type ApiAnswer, type ApiRequest, type ApiServer } from '../apiserver/apiserver.ts';
import { failedPrecondition, internal, permissionDenied, unavailable, type Failure } from '../lib/failure.ts';

/** What an answer that is no success means. */
function refusal({ status, body }: ApiAnswer, doing: string): Failure {
  const why = `${doing}: the API server answered ${status}${statusMessage(body) === '' ? '' : ` (${statusMessage(body)})`}`;
  if (status === 401 || status === 403) return permissionDenied(why);
  if (status === 409 || status === 422) return failedPrecondition(why);
  return status === 429 || status >= 500 ? unavailable(why) : internal(why);
}

/** An object or list by its path; null when there is none. Rejects with a Failure for every other answer. */
export async function read<T>(api: ApiServer, path: string, signal: AbortSignal): Promise<T | null> {
  const answer = await api.exchange({ method: 'GET', path, body: null }, signal);
  if (answer.status === 404) return null;
  if (answer.status !== 200) throw refusal(answer, `read ${path}`);
  return answer.body as T;
}

/** Replaces an object whose resourceVersion is in the body; null when somebody else was first. */
export async function replace<T extends object>(
  api: ApiServer,
  { path, body }: { readonly path: string; readonly body: T },
  signal: AbortSignal,
): Promise<T | null> {
  const answer = await api.exchange({ method: 'PUT', path, body }, signal);
  if (answer.status === 409) return null;
  if (answer.status !== 200) throw refusal(answer, `replace ${path}`);
  return answer.body as T;
}

/** Changes parts of an object by a merge patch (RFC 7386): null removes. */
export async function merge(
  api: ApiServer,
  { path, body }: { readonly path: string; readonly body: object },
  signal: AbortSignal,
): Promise<void> {
  const request: ApiRequest = { method: 'PATCH', path, body, contentType: 'application/merge-patch+json' };
  const answer = await api.exchange(request, signal);
  if (answer.status !== 200) throw refusal(answer, `patch ${path}`);
}
