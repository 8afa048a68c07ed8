/**
 * The one error of the client: what the server said, or that it said nothing. Holds no secret: not
 * the token, nothing of a reply that was not understood.
 */
import type { HttpErrorCode } from './replies.ts';

/**
 * A code of the server (docs/http-api.md lists them), or one of the client's own: nothing answered
 * (`UNREACHABLE`), not in time (`TIMEOUT`), or what answered is no vanitypool (`REPLY_INVALID`). Of signers:
 * the key is not that of the address (`KEY_INVALID`), what was signed does not verify (`SIGNATURE_MISMATCH`),
 * the library cannot have transactions of this version (`VERSION_UNSUPPORTED`), or Ed25519 or a package that
 * computes it is not there (`CRYPTO_UNAVAILABLE`).
 */
export type ClientErrorCode =
  | HttpErrorCode
  | 'UNREACHABLE'
  | 'TIMEOUT'
  | 'REPLY_INVALID'
  | 'KEY_INVALID'
  | 'SIGNATURE_MISMATCH'
  | 'VERSION_UNSUPPORTED'
  | 'CRYPTO_UNAVAILABLE';

export interface ErrorExtras {
  readonly status?: number | undefined;
  readonly retryAfterSeconds?: number | undefined;
  readonly cause?: unknown;
}

export class VanitypoolError extends Error {
  /** Stable: test for this one. A newer server may answer codes that this version does not name. */
  readonly code: ClientErrorCode;
  /** Of the reply; undefined when there was none. */
  readonly status: number | undefined;
  /** Names the thing and what is allowed, for people. */
  readonly detail: string;
  /** Seconds after which asking again can help. */
  readonly retryAfterSeconds: number | undefined;

  constructor(code: ClientErrorCode, detail: string, extras: ErrorExtras = {}) {
    super(`${code}: ${detail}`, extras.cause === undefined ? undefined : { cause: extras.cause });
    this.name = 'VanitypoolError';
    this.code = code;
    this.status = extras.status;
    this.detail = detail;
    this.retryAfterSeconds = extras.retryAfterSeconds;
  }
}
