// A key and a certificate that signs itself, made at start: X.509 v3 in DER (RFC 5280), ECDSA on P-256 with SHA-256.
// It proves nothing to anybody; it keeps what is sent from being read on the way.
import { generateKeyPairSync, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';

/** A private key and its certificate chain, PEM. */
export interface KeyPair {
  readonly key: string;
  readonly cert: string;
}

/** What a certificate says. */
export interface CertificateSubject {
  /** CN of subject and issuer. */
  readonly commonName: string;
  /** Names and addresses of the server. */
  readonly hosts: readonly string[];
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** A DER value: tag, length, content. */
function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const size: number[] = [];
  for (let rest = content.length; rest > 0; rest >>>= 8) size.unshift(rest & 0xff);
  const length = content.length < 0x80 ? [content.length] : [0x80 + size.length, ...size];
  return Buffer.concat([Buffer.from([tag, ...length]), content]);
}

const sequence = (...parts: readonly Uint8Array[]): Buffer => der(0x30, ...parts);
const set = (...parts: readonly Uint8Array[]): Buffer => der(0x31, ...parts);
const explicit = (n: number, ...parts: readonly Uint8Array[]): Buffer => der(0xa0 + n, ...parts);
const octets = (bytes: Uint8Array): Buffer => der(0x04, bytes);
const bits = (bytes: Uint8Array): Buffer => der(0x03, Buffer.from([0]), bytes);
const utf8 = (text: string): Buffer => der(0x0c, Buffer.from(text));
const yes = der(0x01, Buffer.from([0xff]));

/** An INTEGER below 128. */
const integer = (small: number): Buffer => der(0x02, Buffer.from([small]));

/** A serial number: positive, without a leading zero, 16 bytes. */
function serial(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return der(0x02, bytes);
}

/** OBJECT IDENTIFIER: the first two arcs in one byte, the rest in base 128. */
function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const arcs = rest.flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let more = arc >>> 7; more > 0; more >>>= 7) digits.unshift((more & 0x7f) | 0x80);
    return digits;
  });
  return der(0x06, Buffer.from([first * 40 + second, ...arcs]));
}

/** GeneralizedTime or, before 2050, UTCTime. */
function time(at: Date): Buffer {
  const text = at.toISOString().replace(/[-:T]/g, '').slice(0, 14);
  return at.getUTCFullYear() < 2050 ? der(0x17, Buffer.from(`${text.slice(2)}Z`)) : der(0x18, Buffer.from(`${text}Z`));
}

/** An address as 4 or 16 bytes. */
function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail = ''] = address.split('::');
  const words = (part: string): string[] => (part === '' ? [] : part.split(':'));
  const middle = Array<string>(8 - words(head).length - words(tail).length).fill('0');
  const all = address.includes('::') ? [...words(head), ...middle, ...words(tail)] : words(address);
  return Buffer.from(all.map((word) => word.padStart(4, '0')).join(''), 'hex');
}

const hostName = (host: string): Buffer =>
  isIP(host) === 0 ? der(0x82, Buffer.from(host)) : der(0x87, addressBytes(host));

const extension = (id: string, critical: boolean, value: Uint8Array): Buffer =>
  sequence(oid(id), ...(critical ? [yes] : []), octets(value));

function extensions(hosts: readonly string[]): Buffer {
  return sequence(
    extension('2.5.29.19', true, sequence()), // basicConstraints: no authority
    extension('2.5.29.15', true, der(0x03, Buffer.from([7, 0x80]))), // keyUsage: digitalSignature
    extension('2.5.29.37', false, sequence(oid('1.3.6.1.5.5.7.3.1'))), // extKeyUsage: serverAuth
    extension('2.5.29.17', false, sequence(...hosts.map(hostName))), // subjectAltName
  );
}

const pem = (label: string, bytes: Buffer): string =>
  `-----BEGIN ${label}-----\n${bytes.toString('base64').replace(/.{64}/g, '$&\n').trimEnd()}\n-----END ${label}-----\n`;

/** Makes a key and its certificate. */
export function selfSigned({ commonName, hosts, notBefore, notAfter }: CertificateSubject): KeyPair {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const algorithm = sequence(oid('1.2.840.10045.4.3.2')); // ecdsa-with-SHA256
  const name = sequence(set(sequence(oid('2.5.4.3'), utf8(commonName))));
  const body = sequence(
    explicit(0, integer(2)), // v3
    serial(),
    algorithm,
    name,
    sequence(time(notBefore), time(notAfter)),
    name,
    publicKey.export({ type: 'spki', format: 'der' }),
    explicit(3, extensions(hosts)),
  );
  const certificate = sequence(body, algorithm, bits(sign('sha256', body, privateKey)));
  return { key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), cert: pem('CERTIFICATE', certificate) };
}
