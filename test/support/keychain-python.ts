/**
 * The Python of the keychain package for Solana: an environment of its own in `build/keychain-python`, made
 * once, with exact versions from PyPI.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PACKAGES = ['solana-keychain==2.0.0', 'solders==0.29.0', 'httpx==0.28.1'];
const PLACE = fileURLToPath(new URL('../../build/keychain-python', import.meta.url));
const DONE = join(PLACE, PACKAGES.join('_'));
const SCRIPT = fileURLToPath(new URL('keychain_vault.py', import.meta.url));
const INSTALL_MS = 180_000;
/** With this the package takes http on loopback, as it does for its own tests; else it wants https. */
const TESTING = { PYTEST_CURRENT_TEST: 'vanitypool' };

export interface KeychainOrder {
  readonly url: string;
  readonly token: string;
  readonly address: string;
  /** In base64. */
  readonly transactions: readonly string[];
}

export interface KeychainAnswer {
  readonly available: boolean;
  /** In base64. */
  readonly signed: readonly string[];
  /** The status of what it was answered for a text that is no transaction. */
  readonly refusal: number | null;
}

/** Why it cannot be had here; undefined if it is there now. */
export function missingKeychain(): string | undefined {
  if (existsSync(DONE)) return undefined;
  rmSync(PLACE, { recursive: true, force: true });
  const pip = [
    '-m',
    'pip',
    'install',
    '--quiet',
    '--disable-pip-version-check',
    '--retries=1',
    ...PACKAGES,
  ];
  for (const [program, args] of [
    ['python3', ['-m', 'venv', PLACE]],
    [python(), pip],
  ] as const) {
    const { status, error, stderr } = spawnSync(program, args, {
      encoding: 'utf8',
      timeout: INSTALL_MS,
    });
    if (status !== 0) return `${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`;
  }
  writeFileSync(DONE, '');
  return undefined;
}

export function askKeychain(order: KeychainOrder): KeychainAnswer {
  const { status, stdout, stderr } = spawnSync(python(), [SCRIPT], {
    encoding: 'utf8',
    input: JSON.stringify(order),
    env: { ...process.env, ...TESTING },
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as KeychainAnswer;
}

function python(): string {
  return join(PLACE, 'bin', 'python');
}
