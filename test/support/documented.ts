/**
 * The OpenAPI document as what replies are validated against: a status, a content type, headers and
 * a body that the document does not describe is an error. Used by unit tests for every reply of their
 * application, and against real servers.
 */
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { App } from '../../src/http/app-deps.ts';

export interface Schema {
  readonly description?: string;
  readonly examples?: readonly unknown[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly pattern?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly type?: string | readonly string[];
}

interface Content {
  readonly content?: Readonly<
    Record<string, { readonly schema: Schema; readonly example?: unknown }>
  >;
}

interface Response extends Content {
  readonly description: string;
  readonly headers?: Readonly<Record<string, { readonly schema: Schema }>>;
  /** Of an error: those that it can have. */
  readonly 'x-codes'?: readonly string[];
}

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: Schema;
  readonly example?: unknown;
}

export interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description: string;
  readonly tags: readonly string[];
  readonly security: readonly object[];
  readonly 'x-scope'?: string;
  readonly parameters?: readonly Parameter[];
  readonly requestBody?: Content & { readonly required?: boolean };
  readonly responses: Readonly<Record<string, Response>>;
}

export interface OpenApi {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly components: {
    readonly schemas: Readonly<Record<string, Schema>>;
    readonly responses: Readonly<Record<string, Response>>;
    readonly securitySchemes: object;
  };
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
}

export interface Told {
  /** `post /v1/pools`. */
  readonly name: string;
  readonly method: string;
  readonly path: string;
  readonly operation: Operation;
}

/** What came back, however it was asked for. Names of headers are in small letters. */
export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

/** Of the application itself, whatever token may ask for it. */
export async function documentOf(app: App): Promise<OpenApi> {
  await app.ready();
  // As it leaves: what JSON drops is not in it.
  return JSON.parse(JSON.stringify(app.swagger())) as OpenApi;
}

export function operationsOf({ paths }: OpenApi): Told[] {
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      return { name: `${method} ${path}`, method, path, operation };
    }),
  );
}

/** The path in the document that a path of a request belongs to; undefined for what it does not list. */
export function toldPath({ paths }: OpenApi, path: string): string | undefined {
  const [bare = ''] = path.split('?', 1);
  return Object.keys(paths).find((told) =>
    new RegExp(`^${told.replace(/\{\w+\}/g, '[^/]+')}$`).test(bare),
  );
}

export function contentOf(
  { content }: Content,
  type?: string,
): { schema: Schema; example?: unknown } | undefined {
  return type === undefined ? Object.values(content ?? {})[0] : content?.[type];
}

/**
 * Says what is wrong with a value, or undefined. Schemas are those of the document, as they stand. Throws at one
 * that is none, with `validateSchema`, whose own schemas take 0.1 s.
 */
export function validatorOf(document: OpenApi, { validateSchema = true } = {}) {
  const ajv = new Ajv2020({ strictTypes: false, allErrors: false, validateSchema });
  addFormats.default(ajv);
  ajv.addFormat('binary', true);
  ajv.addSchema({ $defs: document.components.schemas }, 'document');
  const compiled = new Map<Schema, ReturnType<typeof ajv.compile>>();
  return (schema: Schema, value: unknown): string | undefined => {
    let check = compiled.get(schema);
    if (check === undefined) {
      const text = JSON.stringify(schema).replaceAll('"#/components/schemas/', '"document#/$defs/');
      check = ajv.compile(JSON.parse(text));
      compiled.set(schema, check);
    }
    return check(value) ? undefined : ajv.errorsText(check.errors);
  };
}

/** Throws at a reply that the document does not describe. Its schemas are what openapi-examples.test.ts finds them to be. */
export type Judge = (method: string, path: string, reply: Reply) => void;

export function judgeOf(document: OpenApi): Judge {
  const validate = validatorOf(document, { validateSchema: false });
  const told = new Map(operationsOf(document).map((one) => [one.name, one.operation]));
  return (method, path, { status, headers, body }) => {
    const name = `${method.toLowerCase()} ${path}`;
    const operation = told.get(name);
    if (operation === undefined) throw new Error(`${name}: not in the document`);
    const refuse = (why: string): never => {
      throw new Error(`${name}: ${status}: ${why}: ${body.slice(0, 1000)}`);
    };
    const response = operation.responses[status] ?? refuse('a status that is not documented');
    for (const [header, { schema }] of Object.entries(response.headers ?? {})) {
      const value = headers[header.toLowerCase()];
      // Whether asking again helps depends on the code.
      if (header === 'Retry-After' && value === undefined) continue;
      const isNumber = schema.type === 'integer' && /^\d+$/.test(String(value));
      const wrong = validate(schema, isNumber ? Number(value) : value);
      if (wrong !== undefined) refuse(`header ${header}: ${value}: ${wrong}`);
    }
    if (response.content === undefined) {
      if (body !== '') refuse('a body where none is documented');
      return;
    }
    const type = String(headers['content-type']).split(';', 1)[0]!;
    const content = contentOf(response, type);
    if (content === undefined) return refuse(`content-type ${type} is not documented`);
    const isJson = /[/+]json$/.test(type);
    const value = isJson ? JSON.parse(body) : body;
    const wrong = validate(content.schema, value);
    if (wrong !== undefined) refuse(wrong);
    const codes = response['x-codes'];
    if (codes !== undefined && !codes.includes(codeIn(value)))
      refuse('a code that is not documented');
  };
}

/** Of an error, in whichever form. */
export function codeIn({ code, errors }: { code?: string; errors?: readonly string[] }): string {
  return code ?? errors?.[0]?.split(':', 1)[0] ?? '';
}

/**
 * From now on every reply of this application to an operation of its document is judged; a wrong one
 * becomes a 599 that says why. Before the application is ready.
 */
export function judgeReplies(app: App): void {
  let judge: Judge | undefined;
  app.addHook('onReady', async () => {
    judge = judgeOf(JSON.parse(JSON.stringify(app.swagger())) as OpenApi);
  });
  app.addHook('onSend', async (request, reply, payload) => {
    const { url, schema } = request.routeOptions;
    const isUntold = url === undefined || (schema as { hide?: boolean } | undefined)?.hide;
    if (isUntold || schema === undefined || request.method === 'HEAD') return payload;
    if (payload !== undefined && payload !== null && typeof payload !== 'string') return payload;
    const path = url.replace(/:(\w+)/g, '{$1}');
    const answer = { status: reply.statusCode, headers: reply.getHeaders(), body: payload ?? '' };
    try {
      judge!(request.method, path, answer);
    } catch (error) {
      reply.code(599).header('content-type', 'text/plain');
      return (error as Error).message;
    }
    return payload;
  });
}
