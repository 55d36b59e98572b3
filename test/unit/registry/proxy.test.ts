import test from 'ava';
import { proxyFor, proxySettings } from '../../../src/registry/proxy.ts';

const settings = { http: 'http://plain:1', https: 'https://u:p@secure:2', none: '' };
const proxy = (url: string, none = '') => proxyFor({ ...settings, none }, new URL(url));

test('by scheme, never for loopback', (t) => {
  t.is(proxy('http://a/x'), 'http://plain:1');
  t.is(proxy('https://a/x'), 'https://u:p@secure:2');
  for (const host of ['localhost', 'a.localhost', '127.0.0.1', '127.9.9.9', '[::1]'])
    t.is(proxy(`https://${host}:5000/`), null);
  t.is(proxyFor({ http: '', https: '', none: '' }, new URL('https://a')), null);
});

test('exceptions: hosts, domains, ports, addresses, ranges, all', (t) => {
  for (const [url, none, excluded] of [
    ['https://example.com', 'example.com', true],
    ['https://a.example.com', 'example.com', true],
    ['https://badexample.com', 'example.com', false],
    ['https://example.com', '.example.com', false],
    ['https://a.example.com', '.example.com', true],
    ['https://a.example.com', '*.example.com', true],
    ['https://example.com:8443', 'example.com:8443', true],
    ['https://example.com', 'example.com:8443', false],
    ['https://example.com', 'example.com:443', true],
    ['https://10.1.2.3', '10.0.0.0/8', true],
    ['https://11.1.2.3', '10.0.0.0/8', false],
    ['https://10.1.2.3', '10.1.2.3', true],
    ['https://[fd00::1]', 'fd00::/8', true],
    ['https://[fd00::1]', 'fd00::1', true],
    ['https://example.com', '10.0.0.0/8', false],
    ['https://example.com', '10.0.0.0/99', false],
    ['https://example.com', 'x, *', true],
    ['https://EXAMPLE.com', 'Example.COM', true],
  ] as const) {
    t.is(proxy(url, none) === null, excluded, `${url} with ${none}`);
  }
});

test('upper case counts first', (t) => {
  t.deepEqual(proxySettings({ HTTP_PROXY: 'a', http_proxy: 'b', https_proxy: 'c' }), {
    http: 'a',
    https: 'c',
    none: '',
  });
});
