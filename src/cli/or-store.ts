/**
 * Commands that ask a server, and the store itself when there is none: where this configuration
 * has no server running, and a store is in its data directory.
 */
import { type Config, loadConfig } from '../config.ts';
import { VanityError } from '../errors.ts';
import { isNobodyThere, ServerClient } from './server-client.ts';

/**
 * What `ask` gets from the server. When nobody listens and no `url` was given, what `look` gets
 * from the store; without a store, the error of the server.
 */
export async function askOrLook<T>(
  url: string | undefined,
  ask: (server: ServerClient) => Promise<T>,
  look: (config: Config) => T | Promise<T>,
): Promise<T> {
  try {
    return await ask(new ServerClient(url));
  } catch (nobody) {
    if (url !== undefined || !isNobodyThere(nobody)) throw nobody;
    try {
      return await look(loadConfig({ env: process.env }));
    } catch (error) {
      const isMissing = error instanceof VanityError && error.code === 'STORE_NOT_FOUND';
      throw isMissing ? nobody : error;
    }
  }
}
