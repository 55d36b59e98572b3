// Bundles the daemon and the command line tool into dist/, one file each.
// CommonJS, because it starts some 25 ms sooner than a module; so the entry files cannot use top-level await.
import { build } from 'esbuild';
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';

const programs = { podwrightd: 'src/main.ts', podwright: 'src/cli/main.ts' };

// The starter must be a file of its own: a program cannot cache the compilation of itself.
const starter = (name) => `'use strict';
const { enableCompileCache, flushCompileCache } = require('node:module');
enableCompileCache(require('node:path').join(__dirname, '.compile-cache'));
require('./${name}.main.js');
// What ran until now is what the next start will need.
setTimeout(flushCompileCache, 5000).unref();
`;

mkdirSync('dist', { recursive: true });
writeFileSync('dist/package.json', '{"type":"commonjs"}\n');
await Promise.all(
  Object.entries(programs).map(async ([name, entry]) => {
    const { outputFiles } = await build({
      entryPoints: [entry],
      outfile: `dist/${name}.main.js`,
      bundle: true,
      platform: 'node',
      target: 'node24',
      format: 'cjs',
      // names stay: stack traces must be readable
      minifyWhitespace: true,
      minifySyntax: true,
      legalComments: 'external',
      charset: 'utf8',
      banner: { js: "const podwrightModuleUrl=require('node:url').pathToFileURL(__filename).href;" },
      define: {
        'import.meta.url': 'podwrightModuleUrl',
        'import.meta.dirname': '__dirname',
        'import.meta.filename': '__filename',
      },
      logLevel: 'warning',
      write: false,
    });
    for (const { path, contents } of outputFiles) {
      writeFileSync(`${path}.new`, contents);
      renameSync(`${path}.new`, path);
    }
    writeFileSync(`dist/${name}.js`, starter(name));
  }),
);
