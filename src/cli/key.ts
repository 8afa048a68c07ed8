/**
 * `vanitypool key rotate | show`. Rotates by the running server, or in the store when none runs. What is to be backed
 * up now is said as soon as the new key is in use; the resealing that may follow takes longer. Shows the public
 * half of the key that the configuration names, without any server.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { KeyRotated } from '../api/keys.ts';
import { readArguments, readVerb } from './arguments.ts';
import { KEY_OPTIONS } from './command-options.ts';
import { CopyProgress } from './copy-progress.ts';
import { advised, sayIfInterrupted, usage } from './options.ts';
import { askOrLook, assertPlace, configAt } from './or-store.ts';
import type { Outputs } from './output.ts';
import { mayBeDone, type ServerClient } from './server-client.ts';

const VERBS = Object.keys(KEY_OPTIONS) as (keyof typeof KEY_OPTIONS)[];
const ASK_EVERY_MS = 500;
const MAY_BE_DONE =
  'The key may have been rotated: the log of the server says so ("the sealing key was rotated").\n' +
  'The server goes on and starts with the key that the store needs in any case.\n';
const NOT_SEALED =
  'Not all addresses are resealed: the server goes on with it, or the next one that starts, or\n' +
  'vanitypool key rotate --reseal.\n';
const SEALED =
  'resealed: nothing in the database and its log opens with the old key\n' +
  'It still opens copies and backups from before: delete them when the new backup is made.\n';

interface Rotation {
  readonly to: string | undefined;
  readonly reseal: boolean | undefined;
  readonly onRotated: (rotated: KeyRotated) => Promise<void>;
  readonly onReseal: (left: number) => void;
}

export async function key(args: string[], outputs: Outputs): Promise<number> {
  const [verb, rest] = readVerb('key', args, VERBS);
  return verb === 'rotate' ? rotate(rest, outputs) : show(rest, outputs);
}

async function show(args: string[], { print }: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'key show',
    options: KEY_OPTIONS.show,
    siblings: KEY_OPTIONS,
  });
  const { publicHalfOf } = await import('../offline/keys.ts');
  const { id, source, publicKey } = await publicHalfOf(configAt(values));
  const text = `# sealing key ${id}, of ${source}\nstore.sealing_key = "${publicKey}"\n`;
  await print(values.json ? `${JSON.stringify({ id, source, publicKey })}\n` : text);
  return 0;
}

async function rotate(args: string[], outputs: Outputs): Promise<number> {
  const { values } = readArguments(args, {
    command: 'key rotate',
    options: KEY_OPTIONS.rotate,
    siblings: KEY_OPTIONS,
  });
  assertPlace(values);
  const { to, reseal, json } = values;
  if (to !== undefined && !/^env:[A-Za-z_]\w*$/.test(to)) {
    throw usage(`--to: ${JSON.stringify(to)} is not allowed; allowed: env:NAME, or leave it out`);
  }
  const { stderr } = outputs;
  // What is to be known if it ends now.
  let advice = MAY_BE_DONE;
  using _interrupt = sayIfInterrupted(() => advice);
  const progress = new CopyProgress(stderr, 'sealed data keys to the new key:');
  const sealing = new CopyProgress(stderr, 'resealed addresses:');
  let total = 0;
  let isBegun = false;
  const rotation: Rotation = {
    ...{ to, reseal },
    onRotated: async (rotated) => {
      progress.end();
      isBegun = true;
      advice = reseal ? NOT_SEALED : '';
      await outputs.print(json ? `${JSON.stringify(rotated)}\n` : text(rotated));
    },
    onReseal: (left) => {
      isBegun = true;
      advice = NOT_SEALED;
      total = Math.max(total, left);
      if (total > 0) sealing.at(total - left, total);
    },
  };
  await askOrLook(
    values,
    (server) => byServer(server, rotation),
    async (config) => {
      const { rotateKeyOffline } = await import('../offline/keys.ts');
      const onProgress = (done: number, all: number) => progress.at(done, all);
      // Of a server that has stopped meanwhile only the rest is left.
      await rotateKeyOffline(config, { ...rotation, isBegun, onProgress });
    },
    outputs,
  ).catch((error: unknown) => {
    throw isBegun || mayBeDone(error) ? advised(error, advice) : error;
  });
  sealing.end();
  if (reseal && !json) await outputs.print(SEALED);
  return 0;
}

async function byServer(server: ServerClient, rotation: Rotation): Promise<void> {
  const { to, reseal, onRotated, onReseal } = rotation;
  const left = () => server.ask(async ({ admin }) => (await admin.sealingKey()).toReseal);
  if (!reseal || (await left()) === 0) {
    await onRotated(await server.ask(({ admin }) => admin.rotateKey({ to, reseal })));
  }
  if (!reseal) return;
  for (let now = await left(); ; now = await left()) {
    onReseal(now);
    if (now === 0) return;
    await sleep(ASK_EVERY_MS);
  }
}

function text({ from, to, source, oldSource, dataKeys, handedTo }: KeyRotated): string {
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
    (handedTo === undefined ? 'Make a new backup then: vanitypool backup FILE\n' : others(handedTo))
  );
}

/** Of a database of many nodes. */
function others(handedTo: number): string {
  return (
    'Make a new backup of the database then.\n' +
    `Other nodes that have the new key: ${handedTo}. One whose key is in a variable needs the new one there before\n` +
    'its next start; one that did not run needs a copy of it, and a grinder what "vanitypool key show" prints.\n'
  );
}
