/**
 * `vanitypool key rotate`: by the running server, or in the store when none runs. What is to be backed
 * up now is the last thing that it says.
 */
import type { KeyRotated } from '../api/keys.ts';
import { readArguments, readVerb } from './arguments.ts';
import { KEY_OPTIONS } from './command-options.ts';
import { CopyProgress } from './copy-progress.ts';
import { advised, sayIfInterrupted, usage } from './options.ts';
import { askOrLook, assertPlace } from './or-store.ts';
import type { Outputs } from './output.ts';
import { mayBeDone } from './server-client.ts';

const VERBS = Object.keys(KEY_OPTIONS) as (keyof typeof KEY_OPTIONS)[];
const MAY_BE_DONE =
  'The key may have been rotated: the log of the server says so ("the sealing key was rotated").\n' +
  'The server goes on and starts with the key that the store needs in any case.\n';

export async function key(args: string[], outputs: Outputs): Promise<number> {
  const [, rest] = readVerb('key', args, VERBS);
  const { values } = readArguments(rest, { command: 'key rotate', options: KEY_OPTIONS.rotate });
  assertPlace(values);
  const { to } = values;
  if (to !== undefined && !/^env:[A-Za-z_]\w*$/.test(to)) {
    throw usage(`--to: ${JSON.stringify(to)} is not allowed; allowed: env:NAME, or leave it out`);
  }
  using _interrupt = sayIfInterrupted(MAY_BE_DONE);
  const progress = new CopyProgress(outputs.stderr, 'sealed data keys to the new key:');
  const rotated = await askOrLook(
    values,
    (server): Promise<KeyRotated> => server.ask(({ admin }) => admin.rotateKey({ to })),
    async (config) => {
      const { rotateKeyOffline } = await import('../offline/keys.ts');
      const done = await rotateKeyOffline(config, to, (count, total) => progress.at(count, total));
      progress.end();
      return done;
    },
    outputs,
  ).catch((error: unknown) => {
    throw mayBeDone(error) ? advised(error, MAY_BE_DONE) : error;
  });
  await outputs.print(values.json ? `${JSON.stringify(rotated)}\n` : text(rotated));
  return 0;
}

function text({ from, to, source, oldSource, dataKeys }: KeyRotated): string {
  const place = (of: string) => of.replace(/^file:/, '');
  const isInFile = source.startsWith('file:');
  const next = isInFile
    ? ''
    : `Set store.sealing_key = "${source}" now: a start with the old one is refused.\n`;
  return (
    `rotated: the sealing key is ${to} now, not ${from} (${dataKeys} data keys)\n` +
    next +
    `Back up the new key now, apart from the data: ${place(source)}\n` +
    `Keep the old key for as long as you keep backups that were made before: ${place(oldSource)}\n` +
    'Make a new backup then: vanitypool backup FILE\n'
  );
}
