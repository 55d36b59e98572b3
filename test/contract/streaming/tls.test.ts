// The streaming server over TLS: a certificate of its own, a given pair, and one that is renewed.
import test from 'ava';
import { X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { readKeyPair, watchKeyPair } from '../../../src/state/key-pair-files.ts';
import { selfSigned } from '../../../src/lib/certificate.ts';
import { ChannelClient } from '../../helpers/channel-client.ts';
import { makeCertificates } from '../../helpers/certificates.ts';
import { testStreaming } from '../../helpers/streaming.ts';
import { until } from '../../helpers/until.ts';

const day = 86_400_000;
const hosts = ['localhost', '127.0.0.1', '::1', 'fe80::1:2', '2001:db8:0:0:1:0:0:1'];
const subject = { commonName: 'x', hosts, notBefore: new Date(Date.now() - day), notAfter: new Date(Date.now() + day) };

test('a certificate of our own is one, for the hosts it is made for', (t) => {
  const { cert, key } = selfSigned(subject);
  const parsed = new X509Certificate(cert);
  t.true(parsed.verify(parsed.publicKey));
  t.is(parsed.subject, 'CN=x');
  t.false(parsed.ca);
  t.is(parsed.checkHost('localhost'), 'localhost');
  for (const address of hosts.slice(1)) t.is(parsed.checkIP(address), address);
  t.is(parsed.checkIP('127.0.0.2'), undefined);
  t.is(Math.floor(parsed.validFromDate.getTime() / 1000), Math.floor(subject.notBefore.getTime() / 1000));
  t.is(Math.floor(parsed.validToDate.getTime() / 1000), Math.floor(subject.notAfter.getTime() / 1000));
  t.deepEqual(parsed.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  t.regex(key, /BEGIN PRIVATE KEY/);
  t.not(selfSigned(subject).cert, cert);
});

test('times before and from 2050 on are written in the form that belongs to them', (t) => {
  const long = selfSigned({ ...subject, notAfter: new Date('2061-02-03T04:05:06Z') });
  t.is(new X509Certificate(long.cert).validToDate.toISOString(), '2061-02-03T04:05:06.000Z');
});

/** Shakes hands, checking the server's certificate against `ca`; answers its fingerprint. */
async function shake(address: string, ca: string): Promise<string> {
  const [host = '', port] = address.split(':');
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket = connect({ host, port: Number(port), ca, servername: '' }, () => {
    resolve(socket.getPeerX509Certificate()?.fingerprint256 ?? '');
  });
  socket.on('error', reject);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}

test('sessions over TLS, by a client that trusts the certificate', async (t) => {
  const pair = selfSigned(subject);
  const streaming = await testStreaming({ tls: pair });
  t.teardown(() => streaming.close());
  t.is(await shake(streaming.server.address, pair.cert), new X509Certificate(pair.cert).fingerprint256);
  const url = streaming.execUrl({ stdin: true, stdout: true });
  t.regex(url, /^https:/);
  const client = await ChannelClient.connect(url, 'v5.channel.k8s.io');
  const process = await streaming.monitor.process();
  const output = await process.stream('STDOUT');
  const input = await process.stream('STDIN');
  input.on('data', (chunk: Buffer) => void output.write(chunk)).resume();
  const bytes = 8 * 2 ** 20;
  const piece = Buffer.alloc(2 ** 16, 'z');
  for (let sent = 0; sent < bytes; sent += piece.length) client.send(0, piece);
  await until('all came back', () => client.bytes(1).length === bytes);
  await process.exit(0);
  t.is(await client.closed(), 1000);
});

test('a renewed pair counts from the next connection on; one that does not fit is not taken', async (t) => {
  const [first, second] = [selfSigned(subject), selfSigned(subject)];
  const streaming = await testStreaming({ tls: first });
  t.teardown(() => streaming.close());
  const client = await ChannelClient.connect(streaming.execUrl({ stdout: true }), 'v5.channel.k8s.io');
  streaming.server.setKeyPair(second);
  await t.throwsAsync(shake(streaming.server.address, first.cert));
  t.is(await shake(streaming.server.address, second.cert), new X509Certificate(second.cert).fingerprint256);
  t.throws(() => streaming.server.setKeyPair({ cert: first.cert, key: second.key }));
  t.throws(() => streaming.server.setKeyPair({ cert: 'nonsense', key: second.key }));
  t.truthy(await shake(streaming.server.address, second.cert));
  (await (await streaming.monitor.process()).stream('STDOUT')).write('still there');
  await until('the first client is still served', () => client.text(1) === 'still there');
});

test('files of a pair: read, missing, renewed', async (t) => {
  const dir = mkdtempSync('/tmp/pwk-');
  t.teardown(() => rmSync(dir, { recursive: true }));
  const made = makeCertificates(join(dir, 'made'));
  const files = { certFile: join(dir, 'tls.crt'), keyFile: join(dir, 'tls.key') };
  t.throws(() => readKeyPair(files), { message: /tls\.(crt|key)/ });
  let changes = 0;
  const unwatch = watchKeyPair(files, {
    onChange: () => void (changes += 1),
    onError: (error) => t.fail(String(error)),
  });
  t.teardown(unwatch);
  const { cert, key } = readKeyPair({ certFile: made.cert, keyFile: made.key });
  writeFileSync(`${files.certFile}.new`, cert);
  renameSync(`${files.certFile}.new`, files.certFile);
  writeFileSync(files.keyFile, key);
  await until('the change is seen', () => changes > 0);
  t.deepEqual(readKeyPair(files), { cert, key });
  const before = changes;
  renameSync(dir, `${dir}-old`);
  t.teardown(() => rmSync(`${dir}-old`, { recursive: true }));
  mkdirSync(dir);
  await until('its going is seen', () => changes > before);
  const between = changes;
  writeFileSync(files.certFile, cert);
  await until('a file in the directory that took its place', () => changes > between);
});
