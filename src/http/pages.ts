/**
 * Documents: what is the same for everybody and open to all, `/openapi.json` the page at `/docs` that
 * reads it, and the dashboard at `/`, with their files. Runs in the HTTP threads.
 *
 * Each is made at the start and is one buffer, however many ask for it, with an ETag by which a client asks
 * whether it has changed. It is written in pieces, the next when the one before has left, so that a client that
 * does not read costs one piece; one document a connection, and a second behind it ends the connection.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Readable } from 'node:stream';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { endConnection } from './admission.ts';
import type { App } from './app-deps.ts';
import { dashboardFiles } from './dashboard-files.ts';
import { documentAt } from './document.ts';
import { DASHBOARD_POLICY, PAGE_POLICY } from './security-headers.ts';

interface Document {
  readonly body: Buffer;
  readonly etag: string;
  readonly type: string;
  /** Of a page, instead of that of other replies. */
  readonly policy?: string;
}

export const PIECE_BYTES = 16_384;
const HIDDEN = { schema: { hide: true } };
const JSON_TYPE = 'application/json; charset=utf-8';
const HTML_TYPE = 'text/html; charset=utf-8';
const CSS_TYPE = 'text/css; charset=utf-8';
const SCRIPT_TYPE = 'text/javascript; charset=utf-8';
/** Of the package that makes the page; it is read from the disk at the start. */
const FILES: Readonly<Record<string, string>> = {
  'swagger-ui-bundle.js': SCRIPT_TYPE,
  'swagger-ui.css': CSS_TYPE,
  'index.css': CSS_TYPE,
  'favicon-32x32.png': 'image/png',
  'favicon-16x16.png': 'image/png',
};

/** `files` is where its files are, as seen from the page. */
function page(files: string): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>vanitypool</title>
<link rel="stylesheet" href="${files}/swagger-ui.css">
<link rel="stylesheet" href="${files}/index.css">
<link rel="icon" type="image/png" href="${files}/favicon-32x32.png" sizes="32x32">
<link rel="icon" type="image/png" href="${files}/favicon-16x16.png" sizes="16x16">
</head>
<body>
<div id="swagger-ui"></div>
<script src="${files}/swagger-ui-bundle.js"></script>
<script src="${files}/page.js"></script>
</body>
</html>
`;
}

const SCRIPT = `SwaggerUIBundle({
  url: new URL('../../openapi.json', document.currentScript.src).href,
  dom_id: '#swagger-ui',
  deepLinking: true,
  validatorUrl: null,
});
`;

/** After \`documentRoutes\`. */
export function pageRoutes(app: App): void {
  const documents = new Map<string, Document>();
  const add = (path: string, type: string, body: Buffer | string, policy?: string): void => {
    documents.set(path, { ...toDocument(type, body), ...(policy !== undefined && { policy }) });
  };
  add('/docs', HTML_TYPE, page('docs/static'), PAGE_POLICY);
  add('/docs/', HTML_TYPE, page('static'), PAGE_POLICY);
  add('/docs/static/page.js', SCRIPT_TYPE, SCRIPT);
  for (const [name, type] of Object.entries(FILES)) {
    const file = new URL(import.meta.resolve(`@fastify/swagger-ui/static/${name}`));
    add(`/docs/static/${name}`, type, readFileSync(file));
  }
  const dashboard = dashboardFiles();
  for (const { path, type, body } of dashboard) {
    add(path, type, body, path === '/' ? DASHBOARD_POLICY : undefined);
  }
  if (dashboard.length === 0) app.get('/', HIDDEN, (_, reply) => reply.redirect('/docs'));
  const openApi = new OpenApiDocument(app);
  // When all routes are known.
  app.addHook('onReady', (done) => {
    openApi.at('');
    done();
  });
  for (const path of documents.keys()) {
    app.get(path, HIDDEN, (request, reply: FastifyReply) =>
      send(request, reply, documents.get(path)!),
    );
  }
  for (const path of ['/openapi.json', '/docs/json']) {
    app.get(path, HIDDEN, (request, reply: FastifyReply) =>
      send(request, reply, openApi.at(request.pathPrefix)),
    );
  }
}

/** One proxy has one path: besides the plain document the one of the latest path is kept. */
class OpenApiDocument {
  readonly #app: App;
  #plain: Document | undefined;
  #latest: { readonly pathPrefix: string; readonly document: Document } | undefined;

  constructor(app: App) {
    this.#app = app;
  }

  /** As it is behind a path of a proxy, '' for none. */
  at(pathPrefix: string): Document {
    if (pathPrefix === '') {
      this.#plain ??= this.#make(pathPrefix);
      return this.#plain;
    }
    if (this.#latest?.pathPrefix !== pathPrefix) {
      this.#latest = { pathPrefix, document: this.#make(pathPrefix) };
    }
    return this.#latest.document;
  }

  #make(pathPrefix: string): Document {
    return toDocument(JSON_TYPE, JSON.stringify(documentAt(pathPrefix, this.#app.swagger())));
  }
}

function toDocument(type: string, text: Buffer | string): Document {
  const body = Buffer.from(text as string);
  const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
  return { body, etag, type };
}

/** Errors: OVERLOADED. */
function send(request: FastifyRequest, reply: FastifyReply, document: Document): FastifyReply {
  const { body, etag, type, policy } = document;
  const connection = reply.server.inFlight.connection(request.raw.socket);
  if (connection?.holdsDocument) {
    throw endConnection(connection, reply, 'the document before this one is not read yet');
  }
  reply.header('etag', etag).header('cache-control', 'no-cache');
  if (policy !== undefined) reply.header('content-security-policy', policy);
  if (isKnown(request.headers['if-none-match'], etag)) return reply.code(304).send();
  reply.type(type);
  if (request.method === 'HEAD') return reply.send(body);
  connection?.carryDocument(reply.raw);
  return reply.header('content-length', body.length).send(inPieces(body));
}

/** RFC 9110, section 13.1.2; a weak tag, as a proxy that compresses makes it, is as good. */
function isKnown(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false;
  const tags = ifNoneMatch.split(',').map((tag) => tag.trim().replace(/^W\//, ''));
  return tags.includes(etag) || tags.includes('*');
}

function inPieces(body: Buffer): Readable {
  let at = 0;
  return new Readable({
    highWaterMark: PIECE_BYTES,
    read() {
      this.push(body.subarray(at, at + PIECE_BYTES));
      at += PIECE_BYTES;
      if (at >= body.length) this.push(null);
    },
  });
}
