import test from 'ava';
import { manPages } from '../../../hack/release/man-pages.ts';
import { roff } from '../../../hack/release/roff.ts';
import { entries } from '../../../src/config/schema.ts';

const pages = manPages({ version: '1.2.3', epoch: 86_400 });
const pageOf = (path: string): string => pages.get(path) ?? '';

test('text is no request and no escape of roff', (t) => {
  t.is(roff('.SH x'), '\\&.SH x');
  t.is(roff("a\n'b"), "a\n\\&'b");
  t.is(roff('C:\\new --all'), 'C:\\enew \\-\\-all');
  t.is(roff('use `a b`.'), 'use \\fBa b\\fP.');
});

test('each page has the sections that every page has, and requests of man(7) only', (t) => {
  t.deepEqual(
    [...pages.keys()],
    ['man1/podwright.1', 'man5/podwright-config.5', 'man8/podwright-monitor.8', 'man8/podwrightd.8'],
  );
  for (const [path, text] of pages) {
    t.regex(text, /^\.TH \S+ [158] 1970-01-02 "podwright 1\.2\.3"\n\.nh\n\.SH NAME\n\S+ \\- .+\n\.SH SYNOPSIS\n/, path);
    for (const line of text.split('\n').filter((one) => /^['.]/.test(one)))
      t.regex(line, /^\.(TH|SH|SS|PP|TP|B|BR|nf|fi|RS|RE|nh)\b/, path);
  }
});

test('podwright(1) has the verbs, those below verbs, their options and what help says behind them', (t) => {
  const text = pageOf('man1/podwright.1');
  for (const verb of ['exec <container> <command...>', 'images prune', 'save <image...>', 'completion <shell>'])
    t.true(text.includes(`.SS "${roff(verb)}"`), verb);
  t.regex(text, /\.B \\-a, \\-\\-all\n/);
  t.regex(text, /\.SH EXIT STATUS\n\.PP\n0 done/);
  t.true(text.includes('IMAGE is pushed to the registry'), 'text behind the options of push');
  t.false(text.includes('__complete'));
});

test('podwright-config(5) has every key with its default, podwrightd(8) every flag', (t) => {
  const config = pageOf('man5/podwright-config.5');
  const daemon = pageOf('man8/podwrightd.8');
  for (const { name, setting } of entries) {
    t.true(config.includes(`.B ${roff(name.slice(name.indexOf('.') + 1))}\n`), name);
    t.true(config.includes(roff(setting.doc)), name);
    if (setting.flag !== null) t.true(daemon.includes(`.B ${roff(`--${setting.flag} <value>`)}\n`), setting.flag);
  }
});
