/** Programs that are no vanitypool, and what the command line says of them. */
import assert from 'node:assert/strict';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';
import { VanityError } from '../../src/errors.ts';

/** A program that is no vanitypool, on a free port; its URL. */
export async function stranger(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** SERVER_UNREACHABLE, for this URL and reason. */
export function unreachable(url: string, reason: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof VanityError, String(error));
    assert.equal(error.code, 'SERVER_UNREACHABLE');
    assert.ok(error.message.startsWith(`${url}: `), error.message);
    assert.match(error.message, reason);
    return true;
  };
}
