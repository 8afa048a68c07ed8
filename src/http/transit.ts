/**
 * What is different for clients of a Vault transit engine: the header of their token, the form of errors,
 * and a JSON body without a content type, as Vault's own Go client sends it. Of the paths of that engine
 * alone. Runs in the HTTP threads.
 */
import type { FastifyReply } from 'fastify';
import type { VanityError } from '../errors.ts';
import { withErrorHeaders } from './problems.ts';

const PATHS = /^\/v1\/transit(?:[/?]|$)/;
export const VAULT_TOKEN = 'x-vault-token';
export const ERRORS_TYPE = 'application/json; charset=utf-8';

/** Whether the target of a request is one of these paths. */
export function isTransitPath(target: string): boolean {
  return PATHS.test(target);
}

/** As Vault sends errors; the stable code stands in front. */
export function errorsOf({ code, message }: VanityError): object {
  return { errors: [`${code}: ${message}`] };
}

export function sendErrors(reply: FastifyReply, error: VanityError): FastifyReply {
  const body = JSON.stringify(errorsOf(error));
  return withErrorHeaders(reply, error).type(ERRORS_TYPE).send(body);
}
