/**
 * A hang-up (SIGHUP) that was ignored when the program started, as with `nohup`, stays ignored.
 * Node.js forgets that when it starts, so `bin/vanitypool` looks and passes it on in the environment.
 */

const VARIABLE = 'VANITYPOOL_SIGHUP';

/** Called once, before any command. Processes that this one starts do not see the variable. */
export function keepHangUpIgnored(env: NodeJS.ProcessEnv = process.env): void {
  if (env[VARIABLE] === 'ignored') process.on('SIGHUP', () => undefined);
  delete env[VARIABLE];
}

/** What ends a command that handles its end; before it handles any of them. */
export function endingSignals(): NodeJS.Signals[] {
  const isHangUpIgnored = process.listenerCount('SIGHUP') > 0;
  return isHangUpIgnored ? ['SIGINT', 'SIGTERM'] : ['SIGINT', 'SIGTERM', 'SIGHUP'];
}
