// Bundles src/ into dist/: index.html, one script and one style sheet with
// their hashes in their names, and the licences of what is in them.

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { differences } from './src/i18n/check.js';

const LIMIT = 150 * 1000;          // bytes of all files, gzipped

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, 'dist');

const wrong = differences();

if (wrong.length > 0) {
    console.error(`languages differ in: ${wrong.join(', ')}`);
    process.exit(1);
}

const bundle = await build({
    absWorkingDir: root,
    entryPoints: ['src/main.js'],
    outdir: 'dist',
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: ['es2020'],
    charset: 'utf8',
    legalComments: 'none',
    define: { 'process.env.NODE_ENV': '"production"' },
});

rmSync(dist, { recursive: true, force: true });
mkdirSync(dist);

let html = readFileSync(join(root, 'src/index.html'), 'utf8');
let size = 0;

function write(name, contents) {
    writeFileSync(join(dist, name), contents);
    size += gzipSync(contents, { level: 9 }).length;
}

for (const { path, contents } of bundle.outputFiles) {
    const kind = path.endsWith('.css') ? 'css' : 'js';
    const hash = createHash('sha256').update(contents).digest('hex');
    const name = `app.${hash.slice(0, 12)}.${kind}`;

    html = html.replace(`app.${kind}`, name);
    write(name, contents);
}

const { dependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'));

const licences = Object.keys(dependencies).map((name) => `${name}\n\n`
    + readFileSync(join(root, 'node_modules', name, 'LICENSE'), 'utf8'));

write('index.html', html);
write('licences.txt', licences.join('\n\n'));

console.log(`view/dist: ${(size / 1000).toFixed(1)} kB gzipped`);

if (size > LIMIT) {
    console.error(`more than ${LIMIT / 1000} kB`);
    process.exit(1);
}
