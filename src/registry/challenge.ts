// PURE
// The WWW-Authenticate header of a registry (RFC 9110 §11.6.1, distribution token spec).
// Must not send anything.

/** One challenge: the scheme in lower case and its parameters, names in lower case. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: Readonly<Record<string, string>>;
}

const token = /[A-Za-z0-9!#$%&'*+.^_`|~-]+/y;
const space = /[\s,]*/y;

/** All challenges of a header value; several headers come joined by ", ". What cannot be read is left out. */
export function parseChallenges(header: string): Challenge[] {
  const found: { scheme: string; parameters: Record<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp): string => {
    pattern.lastIndex = at;
    const text = pattern.exec(header)?.[0] ?? '';
    at += text.length;
    return text;
  };
  while (at < header.length) {
    take(space);
    const word = take(token);
    if (word === '') break;
    take(/\s*/y);
    const current = found.at(-1);
    if (header[at] === '=' && current) {
      at += 1;
      take(/\s*/y);
      current.parameters[word.toLowerCase()] = header[at] === '"' ? unquote(take(/"(?:[^"\\]|\\.)*"?/y)) : take(token);
    } else {
      found.push({ scheme: word.toLowerCase(), parameters: {} });
    }
  }
  return found;
}

const unquote = (text: string): string => text.replace(/^"|"$/g, '').replace(/\\(.)/g, '$1');
