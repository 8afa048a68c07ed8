/** `vanitypool nodes enrol`: in the database, beside whatever runs. */
import { onePositional, readArguments, readVerb } from './arguments.ts';
import { NODES_OPTIONS } from './command-options.ts';
import { usage } from './options.ts';
import { configAt } from './or-store.ts';
import type { Outputs } from './output.ts';

const VERBS = Object.keys(NODES_OPTIONS) as (keyof typeof NODES_OPTIONS)[];

export async function nodes(args: string[], outputs: Outputs): Promise<number> {
  const [, rest] = readVerb('nodes', args, VERBS);
  return enrol(rest, outputs);
}

async function enrol(args: string[], { print }: Outputs): Promise<number> {
  const { values, positionals } = readArguments(args, {
    command: 'nodes enrol',
    options: NODES_OPTIONS.enrol,
    siblings: NODES_OPTIONS,
    allowPositionals: true,
  });
  const id = readDigits('ID', onePositional('nodes enrol', 'node', positionals), 32);
  const key = readDigits('--key', values.key, 64);
  const { enrolNodeOffline } = await import('../offline/nodes.ts');
  const { name } = await enrolNodeOffline(configAt(values), id, Buffer.from(key, 'hex'));
  await print(
    values.json
      ? `${JSON.stringify({ id, name, key })}\n`
      : `enrolled: node ${id} on ${name}, with the key ${key}\nStart it again now.\n`,
  );
  return 0;
}

/** As the start of a node says them. */
function readDigits(what: string, text: string | undefined, count: number): string {
  if (text?.length === count && /^[0-9a-f]+$/.test(text)) return text;
  const given = text === undefined ? 'is missing' : `${JSON.stringify(text)} is not allowed`;
  throw usage(`${what}: ${given}; allowed: ${count} hexadecimal digits, as the node says them`);
}
