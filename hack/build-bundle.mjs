// Bundles the daemon and the command line tool into dist/, one file each: a start reads two files instead of 600.
import { mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { build } from 'esbuild';

const programs = { podwrightd: 'src/main.ts', podwright: 'src/cli/main.ts', 'podwright-work': 'src/work/main.ts' };

/** What a program imports only when it is asked for: a file of its own, so that nobody else reads it. */
const parts = {
  'podwrightd.traces': 'src/trace/otel.ts',
  'podwright.relay': 'src/relay/relay.ts',
  'podwrightd.kube': 'src/kube/kube.ts',
  'podwright.kubeconfig': 'src/apiserver/kubeconfig.ts',
  'podwright.installer': 'src/installer/installer.ts',
};

// Flags that change code would make Node compile its own modules instead of taking them from its snapshot, 60 ms of a
// start: what stays running gets them when its start is over and what it compiled is kept.
const afterStart = { podwrightd: ['--optimize-for-size'] };

// The starter must be a file of its own: a program cannot cache the compilation of itself.
const starter = (name) => `import { enableCompileCache, flushCompileCache } from 'node:module';
import v8 from 'node:v8';
enableCompileCache(import.meta.dirname + '/.compile-cache');
// What has run by then is what the next start will need.
setTimeout(() => {
  flushCompileCache();${(afterStart[name] ?? []).map((flag) => `\n  v8.setFlagsFromString('${flag}');`).join('')}
}, 5000).unref();
await import('./${name}.main.js');
`;

// Packages written as CommonJS ask for these.
const banner = [
  "import { createRequire as podwrightCreateRequire } from 'node:module';",
  'const require = podwrightCreateRequire(import.meta.url);',
].join('');

// An ES import of a built-in module reads all its exports, lazy ones too: that of node:http loads undici, 100 ms. So it
// is required, and given on as an ES module with what is not lazy: names are bound once, where a CommonJS module would be
// copied by each of 200 importers. What is lazy is reached by the default export.
const requireBuiltins = {
  name: 'require-builtins',
  setup({ onResolve, onLoad }) {
    const require = createRequire(import.meta.url);
    onResolve({ filter: /^node:/ }, ({ path, kind, importer }) => {
      // its lazy exports would be missing without a word
      if (kind === 'dynamic-import') throw new Error(`${importer} imports ${path} dynamically: that is not bundled`);
      return kind === 'require-call' ? { path, external: true } : { path, namespace: 'builtin' };
    });
    onLoad({ filter: /./, namespace: 'builtin' }, ({ path }) => {
      const own = Object.entries(Object.getOwnPropertyDescriptors(require(path)));
      const names = own
        .filter(([name, property]) => 'value' in property && /^[a-z]\w*$/i.test(name))
        .map(([name]) => name);
      const lines = names.map((name) => `const its_${name} = all.${name};`);
      const exported = names.map((name) => `its_${name} as ${name}`).join(', ');
      return {
        contents: `const all = require(${JSON.stringify(path)});\n${lines.join('\n')}\nexport { all as default, ${exported} };`,
      };
    });
  },
};

// What only few nodes need is run when it is first called.
const lateCalls = { yaml: ['parse'] };
const calledLate = {
  name: 'called-late',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: new RegExp(`^(${Object.keys(lateCalls).join('|')})$`) }, ({ path, importer, resolveDir }) =>
      importer.includes('/node_modules/') || importer === path
        ? null
        : { path, namespace: 'late', pluginData: resolveDir },
    );
    onLoad({ filter: /./, namespace: 'late' }, ({ path, pluginData: resolveDir }) => ({
      contents: lateCalls[path]
        .map((name) => `export const ${name} = (...args) => require(${JSON.stringify(path)}).${name}(...args);`)
        .join('\n'),
      resolveDir,
    }));
  },
};

// Of the client library of Kubernetes only its reading of kubeconfigs is used, by two parts. Its 700 models and the HTTP
// client of its API calls, of which there are none, are left out: that is 8 MB at a start with a kubeconfig in place of
// 58, and an eighth of the time.
const kubeconfigOnly = {
  name: 'kubeconfig-only',
  setup({ onResolve, onLoad, resolve }) {
    const library = '@kubernetes/client-node';
    const unused = { path: 'unused', namespace: 'unused' };
    onResolve({ filter: /^@kubernetes\/client-node$/ }, async ({ path, kind, resolveDir, pluginData }) => {
      if (pluginData === library) return null;
      const found = await resolve(path, { kind, resolveDir, pluginData: library });
      return { ...found, path: join(dirname(found.path), 'config.js') };
    });
    onResolve({ filter: /^(undici|\.\/gen\/index\.js)$/ }, ({ importer }) =>
      importer.includes(`/node_modules/${library}/dist/`) ? unused : null,
    );
    onLoad({ filter: /./, namespace: 'unused' }, () => ({ contents: 'module.exports = {};' }));
  },
};

// Import of a part by its source becomes import of its file.
const partsApart = {
  name: 'parts-apart',
  setup({ onResolve }) {
    onResolve({ filter: /^\./ }, ({ path, kind, resolveDir }) => {
      const source = relative('.', join(resolveDir, path));
      if (kind !== 'dynamic-import' || !source.startsWith('src/')) return null;
      const part = Object.keys(parts).find((name) => parts[name] === source);
      if (part === undefined)
        throw new Error(`${source} is imported dynamically: name its file in hack/build-bundle.mjs`);
      return { path: `./${part}.js`, external: true };
    });
  },
};

async function bundle(outfile, entry, more = []) {
  const { outputFiles, warnings } = await build({
    entryPoints: [entry],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node24',
    format: 'esm',
    // where a package has both forms, the CommonJS one is what it is tested as
    mainFields: ['main', 'module'],
    // names stay: stack traces must be readable
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'external',
    banner: { js: banner },
    plugins: [requireBuiltins, calledLate, partsApart, ...more],
    define: { __dirname: 'import.meta.dirname', __filename: 'import.meta.filename' },
    logLevel: 'warning',
    write: false,
  });
  if (warnings.length > 0) throw new Error(`${entry}: ${warnings.length} warnings`);
  for (const { path, contents } of outputFiles) {
    writeFileSync(`${path}.new`, contents);
    renameSync(`${path}.new`, path);
  }
}

mkdirSync('dist', { recursive: true });
// dist/ may be copied away from the package.json that says so
writeFileSync('dist/package.json', '{"type":"module"}\n');
for (const name of Object.keys(programs)) writeFileSync(`dist/${name}.js`, starter(name));
await Promise.all([
  ...Object.entries(programs).map(([name, entry]) => bundle(`dist/${name}.main.js`, entry)),
  ...Object.entries(parts).map(([name, entry]) => bundle(`dist/${name}.js`, entry, [kubeconfigOnly])),
]);
