/**
 * Errors on their way out, as RFC 9457 problem documents with a stable `code`. Runs in the HTTP
 * threads. Fastify's own errors are given our codes here; what has no code leaves as INTERNAL,
 * without a word of what it was: that goes to the log.
 */
import type { FastifyError, FastifyReply } from 'fastify';
import { ERRORS, type ErrorCode, VanityError } from '../errors.ts';
import { refusedInput } from './refused-input.ts';

const BODY_FORM = 'JSON, without the keys __proto__ and constructor.prototype';
const BODY_SIZES = '16 KiB, and 256 KiB for an import';
export const PROBLEM_TYPE = 'application/problem+json; charset=utf-8';

export interface Problem {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly code: ErrorCode;
  readonly detail: string;
}

export function problemOf(error: VanityError): Problem {
  const { code, message } = error;
  const { title, status } = ERRORS[code];
  return { type: `urn:vanitypool:error:${code}`, title, status, code, detail: message };
}

/** The status and headers that belong to an error, which is counted; the body is the caller's. */
export function withErrorHeaders(reply: FastifyReply, error: VanityError): FastifyReply {
  reply.server.tallies.countError(error.code);
  const seconds = error.retryAfterSeconds ?? (error.status === 503 ? 1 : undefined);
  if (seconds !== undefined) reply.header('retry-after', seconds);
  if (error.status === 401) reply.header('www-authenticate', 'Bearer');
  if (error.allow !== undefined) reply.header('allow', error.allow);
  return reply.code(error.status).header('cache-control', 'no-store');
}

export function sendProblem(reply: FastifyReply, error: VanityError): FastifyReply {
  const body = JSON.stringify(problemOf(error));
  return withErrorHeaders(reply, error).type(PROBLEM_TYPE).send(body);
}

/** Errors that Fastify raises before a handler runs, by its codes and then by their status. */
export function toVanityError(error: unknown): VanityError {
  if (error instanceof VanityError) return error;
  const { code, message, statusCode, validation, validationContext } = error as FastifyError;
  if (validation !== undefined) {
    return refusedInput(validation, validationContext ?? 'request');
  }
  switch (code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new VanityError('BODY_TOO_LARGE', `body: is too large; allowed: ${BODY_SIZES}`);
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new VanityError(
        'MEDIA_TYPE_UNSUPPORTED',
        'content-type: allowed for a body: application/json',
      );
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new VanityError('BODY_INVALID', `body: allowed: ${BODY_FORM}`);
    case 'FST_ERR_CTP_INVALID_CONTENT_LENGTH':
      return new VanityError('BODY_INVALID', message);
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new VanityError('REQUEST_INVALID', message);
  }
  return new VanityError('INTERNAL', 'the server failed to answer; its log says why', {
    cause: error,
  });
}

/** Milliseconds since 1970. The format of a time allows a leap second, which no Date is. */
export function moment(time: string, where: string, code: ErrorCode): number {
  const at = Date.parse(time);
  if (!Number.isNaN(at)) return at;
  const detail = `${where}: ${time} is no time; allowed: one such as 2026-01-01T00:00:00Z`;
  throw new VanityError(code, detail);
}
