/**
 * Compiles the schema of a part of a request or of a reply when the first one comes that has it, with Fastify's own
 * compilers. Runs in the HTTP threads. Fastify compiles all of them, 87 parts of 50 routes, before a thread listens:
 * a fifth of the processor time of its start, and most threads are asked for a few routes. The first request of a
 * route takes some milliseconds longer.
 *
 * What is no schema is reported by tests, which ask for every route.
 */
import AjvCompiler from '@fastify/ajv-compiler';
import SerializerSelector from '@fastify/fast-json-stringify-compiler';
import type { FastifySchemaCompiler, FastifySerializerCompiler } from 'fastify/types/schema.js';
import type { App } from './app-deps.ts';

/** Bodies are what they are: no text becomes a number, no unknown key is dropped unseen. */
const AJV = {
  coerceTypes: false,
  removeAdditional: false,
  useDefaults: false,
  // A refusal quotes its schema.
  verbose: true,
  // Our own schemas, which a test checks: a thread starts faster without.
  validateSchema: false,
} as const;

/** Before the routes. */
export function compileWhenAsked(app: App): void {
  const validatorOf = AjvCompiler()({}, { customOptions: AJV }) as FastifySchemaCompiler<unknown>;
  app.setValidatorCompiler((part) => {
    let validate: ReturnType<typeof validatorOf> | undefined;
    return (data) => {
      validate ??= validatorOf(part);
      return validate(data) || { error: validate.errors ?? [] };
    };
  });
  const serializerOf = SerializerSelector()({}, {}) as FastifySerializerCompiler<unknown>;
  app.setSerializerCompiler((part) => {
    let serialize: ReturnType<typeof serializerOf> | undefined;
    return (data) => {
      serialize ??= serializerOf(part);
      return serialize(data);
    };
  });
}
