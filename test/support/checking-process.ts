/**
 * A process that has a store checked by another one, which never ends by itself, for tests: SQLite is
 * at one statement for ever. Argument: what the check ends with its parent by, 'system' or 'thread'.
 * Says on standard output that the check is under way.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

const entry = fileURLToPath(new URL('../../src/store/sqlite/check-process.ts', import.meta.url));
const preloaded = `data:text/javascript,
  import { createRequire, registerHooks } from 'node:module';
  import { DatabaseSync } from 'node:sqlite';
  if ('${process.argv[2]}' === 'thread') {
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier.endsWith('/addon.ts')) {
          return { url: 'data:text/javascript,export const loadAddon = () => ({});', format: 'module', shortCircuit: true };
        }
        return next(specifier, context);
      },
    });
  }
  DatabaseSync.prototype.exec = DatabaseSync.prototype.prepare = () => { for (;;); };
`;
const args = ['--import', preloaded, entry, entry, 'at-rest', String(process.pid)];
const child = spawn(process.execPath, args, { env: {}, stdio: ['pipe', 'pipe', 'inherit'] });
await once(child.stdout, 'data');
process.stdout.write('checking\n');
// Longer than any test, should nobody end it.
setTimeout(() => process.exit(1), 120_000);
