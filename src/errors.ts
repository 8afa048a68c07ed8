/**
 * Every error that a user, a client or an operator can meet, in one table: a stable code, the
 * HTTP status it travels with, a short title, and whether a later retry can help. Pure data; any thread may
 * use it. A code is never renamed or reused. `docs/http-api.md` lists those that HTTP can answer, and a test
 * holds both together.
 */

interface ErrorKind<Status extends number = number> {
  /** HTTP status; 500 for what only a start or a command line can meet. */
  readonly status: Status;
  readonly title: string;
  readonly retryable: boolean;
}

const kind = <const Status extends number>(
  status: Status,
  title: string,
  retryable = false,
): ErrorKind<Status> => ({ status, title, retryable });

export const ERRORS = {
  // Requests
  BODY_INVALID: kind(400, 'The request body is not valid for this route'),
  COUNT_INVALID: kind(400, 'The count is not a whole number from 1 to 1000'),
  MESSAGE_INVALID: kind(400, 'The message is not a Solana transaction message'),
  TRANSACTION_INVALID: kind(400, 'The transaction is not one whole Solana transaction'),
  SIGNATURE_INVALID: kind(400, 'The transaction carries a wrong signature'),
  SIGNER_NOT_REQUIRED: kind(400, 'The message does not require a signature of this address'),
  KEYPAIR_REFUSED: kind(400, 'The pool does not accept a key of the import'),
  REQUEST_INVALID: kind(400, 'The request is not valid HTTP for this route'),
  TOKEN_REQUIRED: kind(401, 'The request carries no valid token'),
  MESSAGE_REFUSED: kind(403, 'The pool does not sign such a message'),
  SCOPE_REQUIRED: kind(403, 'The token lacks the scope of this route'),
  HOST_REFUSED: kind(403, 'The Host header names another machine'),
  FOREIGN_REQUEST: kind(403, 'The request comes from a web page or a proxy'),
  ROUTE_NOT_FOUND: kind(404, 'There is no such route'),
  POOL_NOT_FOUND: kind(404, 'There is no such pool'),
  RESERVATION_NOT_FOUND: kind(404, 'There is no such reservation'),
  ADDRESS_NOT_FOUND: kind(404, 'There is no such address'),
  TOKEN_NOT_FOUND: kind(404, 'There is no such token'),
  POOL_EXISTS: kind(409, 'A pool of this name exists'),
  POOL_MISMATCH: kind(409, 'The pool was made with another pattern'),
  POOL_CONFIGURED: kind(409, 'The pool is defined in the configuration file'),
  POOL_LIMIT_REACHED: kind(409, 'The server has the maximum number of pools'),
  TOKEN_EXISTS: kind(409, 'A token of this name exists'),
  METHOD_NOT_ALLOWED: kind(405, 'The route does not accept this method'),
  IDEMPOTENCY_KEY_INVALID: kind(400, 'The idempotency key is not 1 to 255 printable characters'),
  IDEMPOTENCY_IN_FLIGHT: kind(409, 'A request with this idempotency key is being answered', true),
  SIGN_LIMIT_REACHED: kind(409, 'The address has signed as often as its pool allows'),
  HANDOUT_MISMATCH: kind(409, 'The pool does not hand out addresses in this way'),
  BACKUP_RUNNING: kind(409, 'Another backup is being made or sent', true),
  BACKUP_REPLACED: kind(409, 'The same token has asked for another backup'),
  BACKUP_UNSUPPORTED: kind(409, 'The store is a database, which has backups of its own'),
  KEY_ROTATION_REFUSED: kind(409, 'The sealing key cannot be rotated in this way'),
  IMPORTS_REFUSED: kind(409, 'The pool does not accept imports'),
  RESERVATION_OVER: kind(410, 'The reservation has ended'),
  IDEMPOTENCY_EXPIRED: kind(410, 'The reply to this idempotency key is no longer kept'),
  IDEMPOTENCY_MISMATCH: kind(422, 'The idempotency key was used with another body'),
  REQUEST_TIMEOUT: kind(408, 'The request took too long to arrive', true),
  BODY_TOO_LARGE: kind(413, 'The request body is too large'),
  MEDIA_TYPE_UNSUPPORTED: kind(415, 'The request body must be application/json'),
  QUOTA_EXCEEDED: kind(429, 'The token has used up its quota for the day', true),
  RATE_LIMITED: kind(429, 'Too many requests from this token or address', true),
  HEADERS_TOO_LARGE: kind(431, 'The request headers are too large'),
  TRANSFER_ENCODING_UNSUPPORTED: kind(501, 'The transfer encoding is not decoded here'),
  INTERNAL: kind(500, 'Something failed inside the server'),
  POOL_EMPTY: kind(503, 'The pool has fewer addresses left than were asked for', true),
  POOL_PAUSED: kind(503, 'The pool is paused', true),
  STORE_UNAVAILABLE: kind(503, 'The store cannot be written now', true),
  STORE_REWOUND: kind(503, 'The database of the store went back in time', true),
  JOURNAL_UNAVAILABLE: kind(503, 'The dispense journal cannot be written now', true),
  SYSTEM_LIMIT_REACHED: kind(503, 'A limit of the system leaves no room for this', true),
  OVERLOADED: kind(503, 'The server is overloaded', true),
  DRAINING: kind(503, 'The server is shutting down', true),

  // Patterns
  PATTERN_INVALID: kind(400, 'The pattern cannot be read'),
  PATTERN_IMPOSSIBLE: kind(400, 'No address can match the pattern'),
  PATTERN_TOO_LONG: kind(400, 'The pattern is too long'),

  // Configuration and start
  USAGE_INVALID: kind(500, 'The command line cannot be read'),
  CONFIG_UNREADABLE: kind(500, 'The configuration file cannot be read'),
  CONFIG_UNKNOWN_KEY: kind(500, 'There is no such configuration key'),
  CONFIG_INVALID: kind(400, 'A configuration value is not allowed'),
  BIND_REFUSED: kind(500, 'The server may not listen on this address'),
  CERTIFICATE_INVALID: kind(500, 'The certificate or its key cannot be used'),
  PORT_IN_USE: kind(500, 'The port is in use'),
  DATA_NOT_WRITABLE: kind(500, 'The data directory cannot be written'),
  DATA_IN_USE: kind(500, 'Another server holds the data directory'),
  NODE_CLONED: kind(500, 'Another machine goes on with the run of this node'),
  CLOCK_BEHIND: kind(500, 'The clock of this machine is behind the store'),
  DATA_MOVED: kind(500, 'The store is a copy, or was moved'),
  DISK_FULL: kind(500, 'The disk is full'),
  STORE_NOT_FOUND: kind(500, 'There is no store in the data directory'),
  STORE_FOREIGN: kind(500, 'The file is not a vanitypool store'),
  STORE_NEWER: kind(500, 'The store was made by a newer version'),
  STORE_LOCKED: kind(500, 'Another program holds the database'),
  STORE_CORRUPT: kind(500, 'The database is damaged'),
  STORE_FORGED: kind(409, 'A row of the store was written by somebody else'),
  SEALING_KEY_INVALID: kind(500, 'The sealing key cannot be used'),
  NODE_NOT_ENROLLED: kind(500, 'The node may not add addresses yet'),
  NODE_NOT_FOUND: kind(500, 'There is no such node'),
  NODE_KEY_MISMATCH: kind(500, 'The node has another key'),

  // Command line
  KEY_FILE_INVALID: kind(500, 'The file holds no key that can be proved'),
  FILE_EXISTS: kind(500, 'The file exists and is not overwritten'),
  LIST_INVALID: kind(500, 'The list of dispensed addresses cannot be used'),
  FILE_NOT_WRITABLE: kind(500, 'The file cannot be written'),
  BENCH_NOT_FOUND: kind(500, 'The benchmarks are not in this installation'),
  SERVER_UNREACHABLE: kind(500, 'No server answers', true),
} as const satisfies Record<string, ErrorKind>;

export type ErrorCode = keyof typeof ERRORS;

/** Those that HTTP can answer. */
export type HttpErrorCode =
  | 'INTERNAL'
  | { [C in ErrorCode]: (typeof ERRORS)[C]['status'] extends 500 ? never : C }[ErrorCode];

export interface ErrorExtras {
  readonly cause?: unknown;
  /** Seconds after which trying again can help; becomes the `Retry-After` header. */
  readonly retryAfterSeconds?: number;
  /** Methods that the route takes; becomes the `Allow` header. */
  readonly allow?: string;
}

/**
 * An error with a stable `code`. `message` names the thing and what is allowed; it never holds a
 * secret or an address that was not dispensed.
 */
export class VanityError extends Error {
  readonly code: ErrorCode;
  readonly retryAfterSeconds: number | undefined;
  readonly allow: string | undefined;

  constructor(code: ErrorCode, message: string, extras: ErrorExtras = {}) {
    super(message, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.name = 'VanityError';
    this.code = code;
    this.retryAfterSeconds = extras.retryAfterSeconds;
    this.allow = extras.allow;
  }

  get status(): number {
    return ERRORS[this.code].status;
  }
}
