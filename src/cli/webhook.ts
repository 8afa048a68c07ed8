/**
 * `vanitypool webhook test`: one signed test event to each webhook of the configuration, and what each
 * answered. It asks no server.
 */
import { loadConfig } from '../config/config.ts';
import { VanityError } from '../errors.ts';
import { Endpoint } from '../webhooks/endpoint.ts';
import { messageOf } from '../webhooks/webhooks.ts';
import { readArguments, readVerb } from './arguments.ts';
import { WEBHOOK_OPTIONS } from './command-options.ts';
import type { Outputs } from './output.ts';

const VERBS = Object.keys(WEBHOOK_OPTIONS) as (keyof typeof WEBHOOK_OPTIONS)[];

export async function webhook(args: string[], { print }: Outputs): Promise<number> {
  const [verb, rest] = readVerb('webhook', args, VERBS);
  const { values } = readArguments(rest, {
    command: `webhook ${verb}`,
    options: WEBHOOK_OPTIONS[verb],
  });
  const { webhooks } = loadConfig({ env: process.env, file: values.config });
  if (webhooks.length === 0) {
    const detail = 'webhooks: there is none; write a [[webhooks]] table with url and secret';
    throw new VanityError('CONFIG_INVALID', detail);
  }
  const endpoints = webhooks.map((one) => new Endpoint(one, process.env));
  const message = messageOf('webhook.test', {});
  const answers = await Promise.all(endpoints.map((endpoint) => endpoint.send(message)));
  for (const [index, { isAccepted, reason }] of answers.entries()) {
    const verdict = isAccepted ? 'accepted' : 'failed';
    await print(`${endpoints[index]!.origin}: ${verdict}: ${reason}\n`);
  }
  return answers.every(({ isAccepted }) => isAccepted) ? 0 : 1;
}
