import test from 'ava';
import { HostPorts } from '../../../src/network/host-ports.ts';
import type { PortMapping } from '../../../src/network/request.ts';

const port = (hostPort: number, hostIp = '', protocol: PortMapping['protocol'] = 'tcp'): PortMapping => ({
  protocol,
  containerPort: 80,
  hostPort,
  hostIp,
});
const pod = (name: string, ...portMappings: PortMapping[]) => ({
  sandboxId: `id-${name}`,
  podName: name,
  podNamespace: 'default',
  portMappings,
});

test('two pods cannot have one port, and the message names the first', (t) => {
  const table: [PortMapping, PortMapping, boolean][] = [
    [port(80), port(80), true],
    [port(80), port(81), false],
    [port(80), port(80, '', 'udp'), false],
    [port(80, '127.0.0.1'), port(80, '192.0.2.1'), false],
    [port(80, '127.0.0.1'), port(80, '127.0.0.1'), true],
    [port(80, '127.0.0.1'), port(80, '0.0.0.0'), true],
    [port(80, '::'), port(80, '127.0.0.1'), false],
    [port(80, '::'), port(80, '0.0.0.0'), false],
    [port(80), port(80, '::1'), true],
    [port(80, '::'), port(80, '::1'), true],
    [port(80, '::1'), port(80, '0:0::1'), true],
    [port(0), port(0), false],
  ];
  for (const [first, second, clash] of table) {
    const ports = new HostPorts();
    ports.claim(pod('a', first));
    const claim = (): void => ports.claim(pod('b', second));
    if (clash) t.throws(claim, { message: /host port 80\/tcp is taken by pod default\/a \(sandbox id-a\)/ });
    else t.notThrows(claim);
  }
});

test('who is refused takes nothing; what is released is free; one’s own ports are no clash', (t) => {
  const ports = new HostPorts();
  ports.claim(pod('a', port(80)));
  t.notThrows(() => ports.claim(pod('a', port(80))));
  t.throws(() => ports.claim(pod('b', port(81), port(80))));
  t.notThrows(() => ports.claim(pod('c', port(81))));
  ports.release('id-a');
  t.notThrows(() => ports.claim(pod('b', port(80))));
});
