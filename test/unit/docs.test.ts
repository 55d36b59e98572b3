import test from 'ava';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { floors } from '../../hack/check-rooms.mjs';
import { pages as releasePages } from '../../hack/release/contents.ts';

/** Directories with pages that people read. */
const places = ['docs', 'charts', 'hack', 'proto'];

const below = (place: string): readonly string[] =>
  readdirSync(place, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(place, name));

const pages: readonly string[] = [
  ...readdirSync('.').filter((name) => name.endsWith('.md')),
  ...places.flatMap((place) => below(place)),
];

/** What a heading is called in links: as GitHub does it. */
const anchorOf = (heading: string): string =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}_ -]/gu, '')
    .replaceAll(' ', '-');

const anchorsOf = (page: string): readonly string[] =>
  [...readFileSync(page, 'utf8').matchAll(/^#+ (.*)$/gm)].map(([, heading = '']) => anchorOf(heading.trim()));

/** Why a link of a page leads nowhere; null for one that leads somewhere, and for those to other hosts. */
function broken(page: string, link: string): string | null {
  if (/^[a-z]+:/.test(link)) return null;
  const [path = '', anchor] = link.split('#');
  const target = path === '' ? page : join(dirname(page), path);
  if (!existsSync(target)) return `${page}: ${link} is not there`;
  if (anchor === undefined || anchorsOf(target).includes(anchor)) return null;
  return `${page}: ${target} has no heading #${anchor}`;
}

test('links between pages lead somewhere', (t) => {
  const links = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => ({ page, link })),
  );
  t.true(links.length > 100, `${links.length} links`);
  t.deepEqual(
    links.flatMap(({ page, link }) => broken(page, link) ?? []),
    [],
  );
});

test('a link to a page, or to a heading, that is not there is found', (t) => {
  t.regex(broken('README.md', 'docs/no-such.md') ?? '', /is not there/);
  t.regex(broken('README.md', 'docs/config.md#no-such') ?? '', /no heading/);
  t.is(broken('README.md', 'docs/config.md#head-of-the-file'), null);
});

test('files that pages name are there', (t) => {
  const missing = pages.flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/(?<![\w/`.<>$])`?((?:src|hack|native|proto|charts|test)\/[\w./-]+\.\w+)/g)]
      .map(([, file = '']) => file)
      .filter((file) => !existsSync(file))
      .map((file) => `${page}: ${file}`),
  );
  t.deepEqual(missing, []);
});

test('the list of decisions has each of them, once, by its title', (t) => {
  const list = readFileSync('docs/adr/README.md', 'utf8');
  const listed = [...list.matchAll(/^\| \[(\d{4})\]\((\d{4}-[^)]+)\) \| (.*?) \|/gm)];
  const there = readdirSync('docs/adr').filter((name) => /^\d{4}-/.test(name));
  t.deepEqual(
    listed.map(([, , file = '']) => file),
    there.toSorted(),
  );
  for (const [, number = '', file = '', title = ''] of listed) {
    const [, own = '', heading = ''] = /^# (\d+)[.:]? (.*)$/m.exec(readFileSync(join('docs/adr', file), 'utf8')) ?? [];
    t.is(title, heading, file);
    t.is(Number(own), Number(number), file);
    t.true(file.startsWith(number), file);
  }
});

test('docs/architecture.md has every room on its floor, and every crate', (t) => {
  const page = readFileSync('docs/architecture.md', 'utf8');
  const named: string[][] = [];
  for (const [, floor = '', rooms = ''] of page.matchAll(/^\| (\d?) ?\| (`.*?`) \|/gm)) {
    const words = [...rooms.matchAll(/`([\w.-]+?)\/?`/g)].map(([, room = '']) => room);
    if (floor === '') named.at(-1)?.push(...words);
    else named.push(words);
  }
  t.deepEqual(
    named.toReversed().map((rooms) => rooms.toSorted()),
    floors.map((rooms) => [...rooms].toSorted()),
  );
  const [, crates = ''] = /^### `native\/`: crates\n\n```text\n([^`]*)```/m.exec(page) ?? [];
  t.deepEqual(
    [...crates.matchAll(/^(\w+) /gm)].map(([, crate]) => crate).toSorted(),
    readdirSync('native/crates').toSorted(),
  );
});

test('every page of docs/ is named by another page', (t) => {
  const whole = pages.map((page) => ({ page, text: readFileSync(page, 'utf8') }));
  const lonely = readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .filter((name) => !whole.some(({ page, text }) => page !== join('docs', name) && text.includes(name)));
  t.deepEqual(lonely, []);
});

test('links between pages of a release lead to pages of it', (t) => {
  const shipped = new Set([...releasePages(), 'LICENSE']);
  const away = [...shipped].flatMap((page) =>
    [...readFileSync(page, 'utf8').matchAll(/\]\(([^)\s#]+)(?:#[^)\s]*)?\)/g)]
      .map(([, link = '']) => link)
      .filter((link) => !/^[a-z]+:/.test(link) && link.endsWith('.md'))
      .map((link) => join(dirname(page), link))
      .filter((target) => !shipped.has(target) && !target.startsWith('hack/')) // of the sources: for who has them
      .map((target) => `${page}: ${target}`),
  );
  t.deepEqual(away, []);
});
