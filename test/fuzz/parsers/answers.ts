// Parsers of what a registry says in headers and in the bodies of refusals, and of proxies' exceptions.
import * as fc from 'fast-check';
import { parseChallenges } from '../../../src/registry/challenge.ts';
import { errorDetail } from '../../../src/registry/failures.ts';
import { proxyFor } from '../../../src/registry/proxy.ts';
import { retryAfterMs } from '../../../src/registry/retry.ts';
import { bytesOf, complain, secret } from './check.ts';
import { documents, texts } from './texts.ts';

const challengeTexts = texts({
  pieces: [
    'Bearer',
    'Basic',
    'Digest',
    ' ',
    ',',
    '=',
    '"',
    '\\',
    '\\"',
    'realm',
    'service',
    'scope',
    'https://t.io/',
    'repository:a:pull,push',
    '\t',
    '__proto__',
    'é',
  ],
  samples: ['Bearer realm="https://t.io/",service="s",scope="repository:a:pull"', 'Basic realm="x", Bearer realm="y"'],
});
const token = fc.stringMatching(/^[a-z0-9!#$%&'*+.^_`|~-]{1,12}$/).filter((name) => name !== '__proto__');
const challenges = fc.array(
  fc.record({
    scheme: token,
    parameters: fc.dictionary(token, fc.string({ unit: 'grapheme-ascii', maxLength: 20 }), {
      minKeys: 1,
      maxKeys: 4,
      noNullPrototype: true,
    }),
  }),
  { maxLength: 4 },
);
const quoted = (text: string): string => `"${text.replace(/["\\]/g, (sign) => `\\${sign}`)}"`;
export const challengeTarget = fc.property(challengeTexts, challenges, (text, list) => {
  for (const { scheme, parameters } of parseChallenges(text)) {
    if (scheme !== scheme.toLowerCase() || Object.values(parameters).some((v) => typeof v !== 'string'))
      complain(`a challenge that is none: ${scheme}`);
  }
  const written = list
    .map(
      ({ scheme, parameters }) =>
        `${scheme} ${Object.entries(parameters)
          .map(([key, value]) => `${key}=${quoted(value)}`)
          .join(', ')}`,
    )
    .join(', ');
  if (JSON.stringify(parseChallenges(written)) !== JSON.stringify(list))
    complain(`${written} is read as ${JSON.stringify(parseChallenges(written))}`);
});

const retryTexts = texts({
  pieces: ['0', '5', '9'.repeat(20), '-', '+', '.', 'e9', 'Thu', ', ', '01 Jan 1970', '00:00:05', 'GMT', ' '],
  samples: ['120', 'Thu, 01 Jan 1970 00:00:05 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT'],
});
export const retryTarget = fc.property(retryTexts, fc.nat(), (text, now) => {
  const ms = retryAfterMs(text, now);
  if (ms !== null && !(Number.isFinite(ms) && ms >= 0)) complain(`a pause that is none: ${ms}`);
});

const errorBodies = fc.oneof(
  documents(['errors', 'code', 'message', 'details', '0'], [secret, 'DENIED']).map(
    (value) => JSON.stringify(value) ?? '',
  ),
  fc.string({ unit: 'binary' }),
);
export const errorTarget = fc.property(errorBodies, (text) => {
  const shown = errorDetail(bytesOf(text), (part) => part.replaceAll(secret, '***'));
  if (shown.length > 401 || !/^[\x20-\x7e]*$/.test(shown) || shown.includes(secret))
    complain(`a detail unfit to be shown: ${shown}`);
});

const noProxies = texts({
  pieces: ['r.io', '.r.io', '*', '*.io', ',', ' ', ':', '443', '10.0.0.0/8', '::1/128', '[::1]', '/', '33', '1.2.3.4'],
  samples: ['r.io,.s.io:443,10.0.0.0/8,fd00::/8'],
});
export const proxyTarget = fc.property(
  noProxies,
  fc.constantFrom('https://r.io/', 'https://10.1.2.3/', 'https://[fd00::1]:5000/'),
  (none, url) => {
    const proxy = proxyFor({ http: '', https: 'p:3128', none }, new URL(url));
    if (proxy !== null && proxy !== 'http://p:3128') complain(`another proxy: ${proxy}`);
  },
);
