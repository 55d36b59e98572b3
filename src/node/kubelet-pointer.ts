// PURE
// The one setting of a kubelet that says which runtime it uses, in the three forms that it has.
import { failedPrecondition } from '../lib/failure.ts';
import type { KubeletPointer, Side } from './journal.ts';

type Form = KubeletPointer['form'];

const key = 'containerRuntimeEndpoint';
const flag = '--container-runtime-endpoint';

/** A flag and its value; not in a line that is a comment. */
function flagLine(name: string): RegExp {
  return new RegExp(`(?<=^(?![ \\t]*[#;]).*)${name}[= ]([^\\s"']+)`, 'm');
}

/** A line of its own at the top of a YAML document; a value of one line, quoted or not. */
const yamlLine = new RegExp(`^(?:${key}|"${key}"|'${key}')[ \\t]*:[ \\t]*(.*?)[ \\t]*$`, 'm');

const isJson = (text: string): boolean => text.trimStart().startsWith('{');

/** The socket that a file names; null where it names none, or is not there. */
export function readEndpoint(form: Form, text: string | null): string | null {
  if (text === null) return null;
  return form === 'env' ? (flagPattern.exec(text)?.[1] ?? null) : configured(text, key, yamlLine);
}

/** A one-line value of a configuration in YAML or JSON. */
function configured(text: string, name: string, line: RegExp): string | null {
  if (isJson(text)) {
    const value = (JSON.parse(text) as Record<string, unknown>)[name];
    return typeof value === 'string' && value !== '' ? value : null;
  }
  const value = line.exec(text)?.[1]?.replace(/[ \t]+#.*$/, '') ?? '';
  return value.replace(/^(["'])(.*)\1$/, '$2') || null;
}

const imageKey = 'imageServiceEndpoint';
const imageLine = new RegExp(yamlLine.source.replaceAll(key, imageKey), 'm');

/** The socket of another service for images that a file names, by either form of the setting; null for none. */
export function readImageEndpoint(form: Form, text: string | null): string | null {
  if (text === null) return null;
  if (form === 'env') return flagLine('--image-service-endpoint').exec(text)?.[1] ?? null;
  return configured(text, imageKey, imageLine);
}

const flagPattern = flagLine(flag);

/**
 * The file's text with another socket, null for none; all else stays. Answers null where the file is to be
 * removed. A file that has no place for it is a failed-precondition Failure.
 */
export function withEndpoint(
  { form, file }: KubeletPointer,
  text: string | null,
  endpoint: string | null,
): string | null {
  if (form === 'drop-in' && (text === null || isOurs(text))) return endpoint === null ? null : dropIn(endpoint);
  if (text === null) {
    if (form === 'env') return endpoint === null ? null : `KUBELET_EXTRA_ARGS="${flag}=${endpoint}"\n`;
    throw failedPrecondition(`the kubelet's configuration ${file} is not there`);
  }
  if (form === 'env') return inFlags(file, text, endpoint);
  return isJson(text) ? inJson(text, endpoint) : inYaml(text, endpoint);
}

/**
 * The file's text for a side of a change. For another runtime it is exactly what it was before podwright, unless somebody
 * else has changed it since: then only the socket is put back.
 */
export function textFor(
  pointer: KubeletPointer,
  text: string | null,
  { from, to, side }: { readonly from: Side; readonly to: Side; readonly side: Side },
): string | null {
  if (side.type === 'podwright') return withEndpoint(pointer, text, side.endpoint);
  if (side.type === 'none') return withEndpoint(pointer, text, null);
  const { pointerText: before } = side;
  const ours = [from, to].find(({ type }) => type === 'podwright');
  const isUntouched = (former: string | null): boolean =>
    text === former || (ours?.type === 'podwright' && text === withEndpoint(pointer, former, ours.endpoint));
  if (before !== undefined && isUntouched(before)) return before;
  return withEndpoint(pointer, text, side.pointer);
}

const dropIn = (endpoint: string): string =>
  [
    '# written by podwright: the runtime that this kubelet uses',
    'apiVersion: kubelet.config.k8s.io/v1beta1',
    'kind: KubeletConfiguration',
    `${key}: ${endpoint}`,
    '',
  ].join('\n');

/** Whether all of a drop-in is what we wrote; one with anything else is changed like any configuration. */
const isOurs = (text: string): boolean => text === dropIn(readEndpoint('drop-in', text) ?? '');

function inJson(text: string, endpoint: string | null): string {
  const value = JSON.parse(text) as Record<string, unknown>;
  if (endpoint === null) delete value[key];
  else value[key] = endpoint;
  return `${JSON.stringify(value, null, 2)}\n`;
}

function inYaml(text: string, endpoint: string | null): string {
  if (endpoint === null) return text.replace(new RegExp(`${yamlLine.source}\\n?`, 'm'), '');
  const line = `${key}: ${endpoint}`;
  if (yamlLine.test(text)) return text.replace(yamlLine, () => line);
  return `${text}${text === '' || text.endsWith('\n') ? '' : '\n'}${line}\n`;
}

/** Lines such as KUBELET_KUBEADM_ARGS="--flag=value --other=value". */
function inFlags(file: string, text: string, endpoint: string | null): string {
  if (flagPattern.test(text)) {
    if (endpoint !== null) return text.replace(flagPattern, () => `${flag}=${endpoint}`);
    return text.replace(new RegExp(` ?${flagPattern.source}`, 'm'), '');
  }
  if (endpoint === null) return text;
  const variable = /^(KUBELET_(?:KUBEADM|EXTRA)_ARGS=)(["']?)(.*?)\2[ \t]*$/m;
  const found = variable.exec(text);
  if (found === null) {
    if (text.trim() === '') return `KUBELET_EXTRA_ARGS="${flag}=${endpoint}"\n`;
    throw failedPrecondition(`${file} has no KUBELET_KUBEADM_ARGS or KUBELET_EXTRA_ARGS to put ${flag} in`);
  }
  const [, name = '', , flags = ''] = found;
  return text.replace(variable, () => `${name}"${[flags, `${flag}=${endpoint}`].filter(Boolean).join(' ')}"`);
}

/** The value of a flag in a command line, null where it is not there. */
export function flagOf(argv: readonly string[], name: string): string | null {
  const at = argv.findIndex((word) => word === name || word.startsWith(`${name}=`));
  if (at < 0) return null;
  return argv[at]?.includes('=') === true ? argv[at].slice(name.length + 1) : (argv[at + 1] ?? null);
}

/** What is looked up on the node for a command line. */
export interface PointerFiles {
  /** The file of flags that names this socket; null when none is known. */
  readonly envFile: (endpoint: string) => string | null;
  /** The last file of a `--config-dir` that names any; null when none does. */
  readonly dropIn: (dir: string) => string | null;
}

/**
 * Where a running kubelet has its setting from, by its command line: the flag's file where that is known, else a file
 * of --config-dir, else --config.
 */
export function pointerOf(argv: readonly string[], { envFile, dropIn }: PointerFiles): KubeletPointer | string {
  const endpoint = flagOf(argv, flag);
  if (endpoint !== null) {
    const file = envFile(endpoint);
    if (file !== null) return { form: 'env', file };
    return `the kubelet was started with ${flag}, which counts before its configuration: say which file has it (--kubelet-env)`;
  }
  const dir = flagOf(argv, '--config-dir');
  const over = dir === null ? null : dropIn(dir);
  if (over !== null) return { form: 'config', file: over };
  const config = flagOf(argv, '--config');
  if (config !== null) return { form: 'config', file: config };
  return 'the kubelet was started without --config: say where its setting is (--kubelet-config, --kubelet-env or --kubelet-drop-in)';
}
