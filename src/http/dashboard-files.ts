/**
 * The files of the dashboard, as tools/build-dashboard.mjs makes them of src/dashboard: read once, at the start of
 * an HTTP thread. None where it could not be built; then `/` leads to the page of the API.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface DashboardFile {
  /** As it is asked for. */
  readonly path: string;
  readonly type: string;
  readonly body: Buffer;
}

const BUILT = fileURLToPath(new URL('../../build/dashboard', import.meta.url));
const PAGE = 'page.html';
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.svg': 'image/svg+xml',
};

export function dashboardFiles(directory = BUILT): DashboardFile[] {
  if (!existsSync(join(directory, PAGE))) return [];
  return readdirSync(directory).flatMap((name) => {
    const type = TYPES[extname(name)];
    if (type === undefined) return [];
    const path = name === PAGE ? '/' : `/dashboard/${name}`;
    return [{ path, type, body: readFileSync(join(directory, name)) }];
  });
}
