// Whether node_modules is what package-lock.json says: exit status 0 if so, 1 if `npm ci` is due.
// Run by the system's Node, which may be older than ours: plain JavaScript, no new syntax.
import { existsSync, readFileSync } from 'node:fs';

const packages = (file) => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')).packages : {});

const wanted = packages('package-lock.json');
const installed = packages('node_modules/.package-lock.json');
// Optional packages are for other platforms as well, and npm installs only this one's.
const stale = Object.keys(wanted).filter(
  (path) =>
    path !== '' && !wanted[path].optional && !wanted[path].peer && installed[path]?.version !== wanted[path].version,
);
if (stale.length > 0 || !existsSync('node_modules/node/bin/node')) process.exit(1);
