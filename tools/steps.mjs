/**
 * What set-up runs and what it says meanwhile, on standard error: each step that takes time is named
 * before it begins, and again every ten seconds until it is over, so that nobody waits before a
 * silent screen or log. Runs on any Node.js >= 18.
 */
import { spawn } from 'node:child_process';

const PATIENCE_MS = 10_000;

/** Says what begins, and that it goes on; gives what `work` gives. */
export async function step(title, work) {
  say(title);
  const startedAt = performance.now();
  const ticker = setInterval(() => {
    say(`${title}: ${Math.round((performance.now() - startedAt) / 1000)} s so far`);
  }, PATIENCE_MS);
  try {
    return await work();
  } finally {
    clearInterval(ticker);
  }
}

export function say(text) {
  console.error(`vanitypool: ${text}`);
}

/** Never rejects: the exit code (null if there is none), standard error where it is not passed on, or why not. */
export function run(command, args, options) {
  return new Promise((resolve) => {
    let stderr = '';
    const child = spawn(command, args, options);
    child.stderr?.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    child.on('error', (error) => resolve({ status: null, stderr, error }));
    child.on('close', (status) => resolve({ status, stderr }));
  });
}
