/**
 * Requests whose body never ends, for every operation of the OpenAPI document: some bytes are missing,
 * or nothing but the mark of the end. Acting before the end takes a part for the whole.
 */
import { contentOf, type Schema, type Told } from './documented.ts';

export interface UnfinishedRequest {
  readonly told: Told;
  /** How it ends too early, for messages. */
  readonly shape: string;
  /** Header lines about the body. */
  readonly headers: readonly string[];
  /** What is sent of it. */
  readonly body: string;
}

interface Shape {
  readonly headers: readonly string[];
  readonly body: string;
}

export const HALF = 'half of its length';
/** More than any operation takes: refused before it is there. */
export const TOO_LONG = 'too long';

const CHUNKED = 'transfer-encoding: chunked';
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`;
const half = (text: string) => text.slice(0, text.length / 2);

const SHAPES: Readonly<Record<string, (whole: string) => Shape>> = {
  [HALF]: (whole) => {
    return { headers: [`content-length: ${whole.length}`], body: half(whole) };
  },
  'all but a space': (whole) => {
    return { headers: [`content-length: ${whole.length + 1}`], body: whole };
  },
  'a head alone': (whole) => ({ headers: [`content-length: ${whole.length}`], body: '' }),
  'a head that waits for 100': (whole) => {
    return { headers: [`content-length: ${whole.length}`, 'expect: 100-continue'], body: '' };
  },
  'a chunk that is cut': (whole) => {
    return { headers: [CHUNKED], body: half(chunk(whole)) };
  },
  [TOO_LONG]: (whole) => ({ headers: ['content-length: 1000000'], body: whole }),
  'no last chunk': (whole) => ({ headers: [CHUNKED], body: chunk(whole) }),
  'no end of the last chunk': (whole) => ({ headers: [CHUNKED], body: `${chunk(whole)}0\r\n` }),
};

/** A right body: of every member what the document shows. */
function shownBody(schema: Schema | undefined): string {
  const members = Object.entries(schema?.properties ?? {});
  return JSON.stringify(
    Object.fromEntries(members.map(([key, { examples }]) => [key, examples?.[0] ?? null])),
  );
}

/** Every operation in every shape. */
export function unfinishedRequests(all: readonly Told[]): UnfinishedRequest[] {
  return all.flatMap((told) => {
    const { requestBody } = told.operation;
    const whole = shownBody(requestBody && contentOf(requestBody)?.schema);
    return Object.entries(SHAPES).map(([shape, make]) => ({ told, shape, ...make(whole) }));
  });
}

/** Its head, and then what there is of its body. Where the path names something, that is `pet` or not there. */
export function piecesOf(request: UnfinishedRequest, host: string, token: string): Buffer[] {
  const { method, path } = request.told;
  const target = path.replace('{pool}', 'pet').replace(/\{\w+\}/, '0'.repeat(32));
  const head = [
    `${method.toUpperCase()} ${target} HTTP/1.1`,
    `host: ${host}`,
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    ...request.headers,
  ];
  return [Buffer.from(`${head.join('\r\n')}\r\n\r\n`), Buffer.from(request.body)];
}
