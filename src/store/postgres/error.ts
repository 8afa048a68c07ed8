/**
 * What the errors of a PostgreSQL server and of the way to it mean to the product. Runs in the thread that
 * calls it. Of what a server says only the message and the code are kept: its details quote rows.
 */
import { DatabaseError } from 'pg';
import { type ErrorCode, VanityError } from '../../errors.ts';

/** What an operator has to put right is refused while opening; later, it may be put right meanwhile. */
export type Moment = 'opening' | 'running';

/** What the system says of an address where nobody answers. */
const UNREACHED = /^(?:connect|getaddrinfo) /;

/** What a statement was answered with. */
export class ServerError extends Error {
  /** A SQLSTATE: five characters, of which the first two are its class. */
  readonly code: string;
  /** That the statement would have broken. */
  readonly constraint: string | undefined;

  constructor(code: string, message: string, constraint?: string) {
    super(message);
    this.name = 'ServerError';
    this.code = code;
    this.constraint = constraint;
  }
}

/** There was no answer, and there will be none: the connection is closed. */
export class ConnectionLost extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = 'ConnectionLost';
  }
}

/**
 * A transaction was to be committed, and nobody said whether it was. It may be in, or come in a little
 * later; the next one that locks a row of it waits until that is decided.
 */
export class CommitUnknown extends VanityError {
  constructor(reason: string) {
    super('STORE_UNAVAILABLE', `nobody knows whether the transaction was committed: ${reason}`);
  }
}

/** What pg throws, as one of the above; anything else is returned as it is. */
export function sessionError(cause: unknown, isOpen: boolean): unknown {
  if (cause instanceof DatabaseError && cause.code !== undefined) {
    return new ServerError(cause.code, cause.message, cause.constraint);
  }
  return isOpen || !(cause instanceof Error) ? cause : new ConnectionLost(reasonOf(cause));
}

/** Of an error of the system or of TLS. One of several addresses has no message of its own. */
function reasonOf(cause: unknown): string {
  if (cause instanceof AggregateError) return cause.errors.map(reasonOf).join('; ');
  return (cause as Error).message;
}

/** The VanityError for an error of the server called `name`; any other error is returned as it is. */
export function storeError(cause: unknown, name: string, moment: Moment): unknown {
  if (cause instanceof ConnectionLost) {
    const isUnreached = moment === 'opening' && UNREACHED.test(cause.message);
    const step = isUnreached ? '. Start the server there, or correct store.url' : '';
    return new VanityError('STORE_UNAVAILABLE', `${name}: ${cause.message}${step}`, { cause });
  }
  if (!(cause instanceof ServerError)) return cause;
  const { code, message } = cause;
  const step = stepAfter(code);
  const detail = `${name}: ${message}${step === undefined ? '' : `. ${step}`}`;
  return new VanityError(codeOf(code, moment), detail, { cause });
}

function codeOf(code: string, moment: Moment): ErrorCode {
  if (isRefusal(code)) return moment === 'opening' ? 'CONFIG_INVALID' : 'STORE_UNAVAILABLE';
  switch (code.slice(0, 2)) {
    case '22': // Our own statements ask for nothing of these as long as what they find is whole.
    case '23':
    case '42':
      return 'STORE_CORRUPT';
    case 'XX':
      return code === 'XX000' ? 'STORE_UNAVAILABLE' : 'STORE_CORRUPT';
    default:
      return 'STORE_UNAVAILABLE';
  }
}

/** Of the user, or of what it may do; no such database. */
function isRefusal(code: string): boolean {
  return code.startsWith('28') || code === '3D000' || code === '42501';
}

function stepAfter(code: string): string | undefined {
  switch (code) {
    case '28P01':
      return 'The password is taken from store.url, else from PGPASSWORD, else from ~/.pgpass';
    case '3D000':
      return 'Create it first, with the encoding UTF8';
    case '53100':
      return 'The disk of the server is full';
    default:
      return undefined;
  }
}
