// An authority, a server certificate for 127.0.0.1 and a client certificate, made by openssl.
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { selfSigned } from '../../src/lib/certificate.ts';

/** Paths of PEM files. */
export interface Certificates {
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  readonly clientCert: string;
  readonly clientKey: string;
  /** Options of a server that wants a client certificate of the same authority, or none. */
  readonly server: (mutual: boolean) => {
    key: string;
    cert: string;
    ca: string;
    requestCert: boolean;
    rejectUnauthorized: boolean;
  };
}

/** Makes them in a directory. */
export function makeCertificates(dir: string): Certificates {
  mkdirSync(dir, { recursive: true });
  const file = (name: string): string => join(dir, name);
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'ignore'] });
  const key = ['-newkey', 'rsa:2048', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-days',
    '2',
    '-subj',
    '/CN=authority',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.pem'),
  );
  const sign = (name: string, extensions: string): void => {
    writeFileSync(file(`${name}.ext`), extensions);
    openssl('req', ...key, '-subj', `/CN=${name}`, '-keyout', file(`${name}.key`), '-out', file(`${name}.csr`));
    const by = ['-CA', file('ca.pem'), '-CAkey', file('ca.key'), '-CAcreateserial', '-extfile', file(`${name}.ext`)];
    openssl('x509', '-req', '-in', file(`${name}.csr`), ...by, '-days', '2', '-out', file(`${name}.pem`));
  };
  sign('server', 'basicConstraints=CA:FALSE\nsubjectAltName=IP:127.0.0.1\n');
  sign('client', 'basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n');
  const text = (name: string): string => readFileSync(file(name), 'utf8');
  return {
    ca: file('ca.pem'),
    cert: file('server.pem'),
    key: file('server.key'),
    clientCert: file('client.pem'),
    clientKey: file('client.key'),
    server: (mutual) => ({
      key: text('server.key'),
      cert: text('server.pem'),
      ca: text('ca.pem'),
      requestCert: mutual,
      rejectUnauthorized: mutual,
    }),
  };
}

/** A server certificate of an authority made by makeCertificates that was good for a month long ago. */
export function makeExpired(dir: string): { key: string; cert: string } {
  const file = (name: string): string => join(dir, name);
  writeFileSync(file('index.txt'), '');
  writeFileSync(
    file('ca.conf'),
    `[ca]\ndefault_ca = a\n[a]\ndatabase = ${file('index.txt')}\nnew_certs_dir = ${dir}\nrand_serial = yes\n` +
      'default_md = sha256\npolicy = p\n[p]\ncommonName = supplied\n',
  );
  const [key, csr, cert] = [file('expired.key'), file('expired.csr'), file('expired.pem')];
  const openssl = (...args: string[]): Buffer => execFileSync('openssl', args, { stdio: 'ignore' });
  openssl('req', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=server', '-keyout', key, '-out', csr);
  const dates = ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z'];
  const by = ['-cert', file('ca.pem'), '-keyfile', file('ca.key'), '-extfile', file('server.ext')];
  openssl('ca', '-batch', '-notext', '-config', file('ca.conf'), ...by, ...dates, '-in', csr, '-out', cert);
  return { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') };
}

/** A certificate for 127.0.0.1 that is its own authority, as `openssl req -x509` makes it: its PEM, and a server's options. */
export function makeOwnAuthority(dir: string, name: string): { ca: string; server: { key: string; cert: string } } {
  mkdirSync(dir, { recursive: true });
  const [key, cert] = [join(dir, `${name}.key`), join(dir, `${name}.pem`)];
  const what = ['-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=127.0.0.1', '-keyout', key, '-out', cert];
  execFileSync('openssl', ['req', '-x509', ...what, '-addext', 'subjectAltName=IP:127.0.0.1'], { stdio: 'ignore' });
  return { ca: cert, server: { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') } };
}

/** Puts a fresh pair for 127.0.0.1 in place, by this common name, each file by rename. */
export function renewPair(files: { readonly cert: string; readonly key: string }, commonName: string): void {
  const [notBefore, notAfter] = [new Date(Date.now() - 60_000), new Date(Date.now() + 3_600_000)];
  const pair = selfSigned({ commonName, hosts: ['127.0.0.1'], notBefore, notAfter });
  for (const name of ['cert', 'key'] as const) {
    mkdirSync(dirname(files[name]), { recursive: true });
    writeFileSync(`${files[name]}.new`, pair[name]);
    renameSync(`${files[name]}.new`, files[name]);
  }
}
