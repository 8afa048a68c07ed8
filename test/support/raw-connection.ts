/**
 * Bytes to a server as they are, right or wrong, on a connection of their own, and what came back, as
 * bytes and taken apart. A server that neither answers nor closes is a hang, and an error.
 */
import { connect } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Reply } from './documented.ts';

/** The server gives up on a request that does not arrive after 12 s at the most. */
const HANG_MS = 60_000;

export interface Sending {
  readonly port: number;
  /** One after the other, each on its way before the next is written. */
  readonly pieces: readonly Uint8Array[];
  /** After the last piece: say that no more comes, cut the connection, or wait for the server. */
  readonly ending: 'end' | 'cut' | 'wait';
  /** Of a reply without an end. */
  readonly isEnough?: (received: Buffer) => boolean;
}

/** What came until the connection was closed, by whomever. */
export async function exchangeBytes({ port, pieces, ending, isEnough }: Sending): Promise<Buffer> {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const received: Buffer[] = [];
  const closed = Promise.withResolvers<void>();
  const isCut = ending === 'cut';
  socket.on('data', (chunk: Buffer) => {
    received.push(chunk);
    if (isEnough?.(Buffer.concat(received))) socket.destroy();
  });
  socket.on('end', () => socket.end());
  // A server that does not read a body to its end resets the connection after its reply.
  socket.on('error', () => undefined).on('close', () => closed.resolve());
  const hang = setTimeout(() => {
    socket.destroy();
    closed.reject(new Error(`no answer and no end: ${Buffer.concat(pieces).toString('latin1')}`));
  }, HANG_MS);
  for (const piece of pieces) {
    await new Promise<void>((resolve) => void socket.write(piece, () => resolve()));
    await nextTurn();
  }
  if (isCut) socket.destroy();
  else if (ending === 'end') socket.end();
  await closed.promise.finally(() => clearTimeout(hang));
  return Buffer.concat(received);
}

/** Every reply on a connection, interim ones (1xx) left out; the last may lack its end. */
export function repliesIn(received: Buffer, method = 'GET'): Reply[] {
  const replies: Reply[] = [];
  let text = received.toString('latin1');
  while (text !== '') {
    const end = text.indexOf('\r\n\r\n');
    const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(text)?.[1]);
    if (end < 0 || Number.isNaN(status)) throw new Error(`no reply: ${text.slice(0, 200)}`);
    const lines = text.slice(0, end).split('\r\n').slice(1);
    const headers = Object.fromEntries(
      lines.map((line) => {
        const [name = '', value] = line.split(/: ?(.*)/s);
        return [name.toLowerCase(), value];
      }),
    );
    text = text.slice(end + 4);
    if (status < 200) continue;
    const [body, rest] = bodyIn(text, headers, method === 'HEAD' || status === 204);
    replies.push({ status, headers, body: Buffer.from(body, 'latin1').toString() });
    text = rest;
  }
  return replies;
}

function bodyIn(
  text: string,
  headers: Readonly<Record<string, string | undefined>>,
  isNone: boolean,
): [string, string] {
  if (isNone) return ['', text];
  if (headers['transfer-encoding'] !== 'chunked') {
    const length = Number(headers['content-length'] ?? text.length);
    return [text.slice(0, length), text.slice(length)];
  }
  let body = '';
  let rest = text;
  for (;;) {
    const [, digits, data] = /^([0-9a-f]+)\r\n(.*)$/s.exec(rest) ?? [];
    if (digits === undefined || data === undefined) return [body, ''];
    const size = Number.parseInt(digits, 16);
    if (size === 0) return [body, data.slice(2)];
    body += data.slice(0, size);
    rest = data.slice(size + 2);
  }
}
