/**
 * The HTTP application of one thread: `buildApp` puts routes, access rules, errors and documents
 * together and does not listen. What it answers with comes from `AppDeps`.
 *
 * A request: is it HTTP (400, 501) -> access rules (401, 403) -> route (404, 405) -> body parsed (413, 415, 400) -> schemas of body,
 * query and headers (400) -> handler (200, 404, 503). Every error is a problem document, except on the ancestor's routes
 * and those of a transit engine.
 */
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts';
import Fastify, { type FastifyReply } from 'fastify';
import { VanityError } from '../errors.ts';
import { Admission } from './admission.ts';
import type { App, AppDeps } from './app-deps.ts';
import { type CertificateAndKey, tlsOptions } from './certificate.ts';
import { compatRoutes, isCompatPath, sendEnvelope } from './compat.ts';
import { compileWhenAsked } from './compiled-schemas.ts';
import { ConnectionRefusals } from './connection-refusals.ts';
import { documentRoutes } from './document.ts';
import { InFlight } from './in-flight.ts';
import { checkInputs } from './inputs.ts';
import { pageRoutes } from './pages.ts';
import { sendProblem, toVanityError } from './problems.ts';
import { checkProtocol, pathOf } from './protocol.ts';
import { believeProxies } from './proxy.ts';
import { auditRoutes } from './routes/audit.ts';
import { backupRoutes } from './routes/backups.ts';
import { eventRoutes } from './routes/events.ts';
import { historyRoutes } from './routes/history.ts';
import { importRoutes } from './routes/imports.ts';
import { keyRoutes } from './routes/keys.ts';
import { nodeRoutes } from './routes/nodes.ts';
import { oversightRoutes } from './routes/oversight.ts';
import { poolChangeRoutes } from './routes/pool-changes.ts';
import { poolRoutes } from './routes/pools.ts';
import { reservationRoutes } from './routes/reservations.ts';
import { serviceRoutes } from './routes/service.ts';
import { signatureRoutes } from './routes/signatures.ts';
import { tokenRoutes } from './routes/tokens.ts';
import { transitRoutes } from './routes/transit.ts';
import { safeResponse, securityLines } from './security-headers.ts';
import { isTransitPath, sendErrors } from './transit.ts';

const BODY_MAX = 16_384;
/** For all of a request to arrive, its headers included; looked at every other second. */
const REQUEST_TIMEOUT_MS = 10_000;
const TIMEOUT_LOOK_MS = 2000;

export async function buildApp(deps: AppDeps): Promise<App> {
  const isEncrypted = deps.certificate !== undefined;
  const app: App = Fastify({
    bodyLimit: BODY_MAX,
    requestTimeout: REQUEST_TIMEOUT_MS,
    trustProxy: deps.trustProxy === true ? isConnected : deps.trustProxy,
    keepAliveTimeout: deps.keepAliveSeconds * 1000,
    forceCloseConnections: 'idle',
    return503OnClosing: false,
    ...serverOptions(deps.certificate),
    clientErrorHandler(error, socket) {
      refusals.refuse(error, socket);
    },
    rewriteUrl: pathOf,
    frameworkErrors: (error, _, reply) => void sendError(reply, toVanityError(error)),
  }).withTypeProvider<JsonSchemaToTsProvider>();

  compileWhenAsked(app);
  checkProtocol(app);
  app.decorateRequest('pathPrefix', '');
  if (deps.trustProxy !== false) believeProxies(app);
  checkInputs(app);
  // Node answers other expectations than 100-continue by itself, past all that is below. They may be
  // left unmet: RFC 9110, section 10.1.1.
  app.server.on('checkExpectation', (request, reply) => app.server.emit('request', request, reply));
  const inFlight = new InFlight(app.server);
  const lines = securityLines(isEncrypted);
  const refusals = new ConnectionRefusals(app.server, { inFlight, tallies: deps.tallies, lines });
  app.decorate('inFlight', inFlight);
  app.decorate('tallies', deps.tallies);
  const { access, limits, tallies, log } = deps;
  const admission = new Admission({ access, limits, inFlight, tallies, log });
  admission.watch(app.server, isEncrypted ? 'secureConnection' : 'connection');
  app.decorateRequest('token', undefined);
  app.decorateRequest('accessVersion', 0);
  app.addHook('onRequest', (request, reply, done) => {
    if (deps.isDraining()) reply.header('connection', 'close');
    request.token = admission.admit(request, reply);
    request.accessVersion = access.version;
    done();
  });
  // The body may have come long after: a token that was revoked meanwhile is refused.
  app.addHook('preHandler', (request, _, done) => {
    if (request.accessVersion !== access.version) request.token = admission.check(request);
    done();
  });
  app.setErrorHandler((thrown, _, reply) => {
    const error = toVanityError(thrown);
    if (error.code === 'INTERNAL') deps.log.error({ err: error.cause }, 'a request failed');
    return sendError(reply, error);
  });
  refuseUnknown(app, deps);

  if (deps.isGrinder) {
    serviceRoutes(app, deps);
    return app;
  }
  await documentRoutes(app, deps.version);
  pageRoutes(app);

  serviceRoutes(app, deps);
  poolRoutes(app, deps);
  poolChangeRoutes(app, deps);
  reservationRoutes(app, deps);
  signatureRoutes(app, deps);
  transitRoutes(app, deps);
  tokenRoutes(app, deps);
  keyRoutes(app, deps);
  eventRoutes(app, deps);
  historyRoutes(app, deps);
  nodeRoutes(app, deps);
  oversightRoutes(app, deps);
  importRoutes(app, deps);
  auditRoutes(app, deps);
  backupRoutes(app, deps);
  if (deps.isCompat) await app.register(async (scope: App) => compatRoutes(scope, deps));
  return app;
}

/** In the form of the path that was asked for. */
function sendError(reply: FastifyReply, error: VanityError): FastifyReply {
  return isTransitPath(reply.request.url) ? sendErrors(reply, error) : sendProblem(reply, error);
}

/** Without a Host a request is refused by the access rules, in our words. */
function serverOptions(certificate: CertificateAndKey | undefined): object {
  const options = {
    requireHostHeader: false,
    ServerResponse: safeResponse(certificate !== undefined),
    headersTimeout: REQUEST_TIMEOUT_MS,
    connectionsCheckingInterval: TIMEOUT_LOOK_MS,
  };
  if (certificate === undefined) return { http: options };
  return { https: { ...options, ...tlsOptions(certificate) } };
}

/** Of the addresses on a request's way only the connected one is trusted, none that it names. */
function isConnected(_: string, hop: number): boolean {
  return hop === 0;
}

/** 404 for what is not there, 405 with `Allow` for what is there under another method. */
function refuseUnknown(app: App, { isCompat, isGrinder }: AppDeps): void {
  const methodsOf = new Map<string, Set<string>>();
  app.addHook('onRoute', ({ url, method }) => {
    const methods = methodsOf.get(url) ?? new Set();
    for (const name of [method].flat()) methods.add(name);
    methodsOf.set(url, methods);
  });
  const patterns: { readonly pattern: RegExp; readonly methods: ReadonlySet<string> }[] = [];
  app.addHook('onReady', (done) => {
    for (const [route, methods] of methodsOf) patterns.push({ pattern: toPattern(route), methods });
    done();
  });
  const hint = isGrinder
    ? 'this is a grinder node, which hands nothing out; ask one with role = "api" or "all"'
    : 'GET /openapi.json lists all';
  app.setNotFoundHandler(({ method, url }, reply) => {
    const path = url.split('?', 1)[0]!;
    const allowed = patterns.find(({ pattern }) => pattern.test(path))?.methods;
    const error =
      allowed === undefined || allowed.has(method)
        ? new VanityError('ROUTE_NOT_FOUND', `${path}: no such route; ${hint}`)
        : notAllowed(method, path, [...allowed].join(', '));
    return isCompat && !isGrinder && isCompatPath(path)
      ? sendEnvelope(reply, error)
      : sendError(reply, error);
  });
}

function toPattern(route: string): RegExp {
  const escaped = route.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replace(/:\w+/g, '[^/]+').replace(/\*$/, '.*')}$`);
}

function notAllowed(method: string, path: string, allow: string): VanityError {
  return new VanityError('METHOD_NOT_ALLOWED', `${path}: takes ${allow}, not ${method}`, { allow });
}
