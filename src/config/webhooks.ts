/**
 * The `[[webhooks]]` tables: where alerts are sent, which ones, and by which secret they are signed. They come
 * from the file and the environment alone. Address and secret are never repeated in an error, because both
 * can be secrets. Any thread may use it.
 */
import { isIPv4 } from 'node:net';
import { VanityError } from '../errors.ts';
import { addPlaces, type TablesOfEnvironment, tablesOf } from './counted-tables.ts';
import { check, type Rule } from './rules.ts';

export const WEBHOOK_EVENTS = [
  'pool.low',
  'pool.empty',
  'pool.recovered',
  'store.unavailable',
  'store.recovered',
  'store.suspect',
  'node.lost',
] as const;
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number];

export interface WebhookConfig {
  /** For errors: `webhooks.1`. */
  readonly label: string;
  readonly url: string;
  readonly events: readonly WebhookEvent[];
  /** `whsec_...`, or `env:NAME`. */
  readonly secret: string;
}

/** Of one server: each has a queue of its own. */
export const WEBHOOKS_MAX = 16;

/** Of the Standard Webhooks specification. */
const KEY_BYTES_MIN = 24;
const KEY_BYTES_MAX = 64;
const SECRET_PREFIX = 'whsec_';
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;
export const SECRET_FORM = `"whsec_" and base64 of ${KEY_BYTES_MIN} to ${KEY_BYTES_MAX} bytes`;

const RULES: Readonly<Record<string, Rule>> = {
  url: {
    fallback: '',
    allowed:
      'an https:// URL, or an http:// URL of a loopback address, without a user, password or fragment',
    isSecret: true,
    read: (value) => (typeof value === 'string' && isAllowedUrl(value) ? value : undefined),
  },
  events: {
    fallback: WEBHOOK_EVENTS,
    allowed: `a list of ${WEBHOOK_EVENTS.join(', ')}`,
    read: (value) => (isEvents(value) ? [...new Set(value)] : undefined),
  },
  secret: {
    fallback: '',
    allowed: `${SECRET_FORM}, or "env:NAME" for a variable that has it`,
    isSecret: true,
    read: (value) => (typeof value === 'string' && isSecret(value) ? value : undefined),
  },
};

/** `webhooks` as in the file, and what the environment says. Errors: CONFIG_UNKNOWN_KEY, CONFIG_INVALID. */
export function readWebhooks(
  webhooks: unknown,
  environment: TablesOfEnvironment = new Map(),
): readonly WebhookConfig[] {
  const tables = webhooks === undefined ? [] : tablesOf('webhooks', webhooks);
  const written = tables.length;
  addPlaces('webhooks', tables, environment, WEBHOOKS_MAX);
  const read = tables.map((given, index) => {
    const { values, names } = environment.get(index) ?? { values: {}, names: {} };
    const label = `webhooks.${index + 1}`;
    const nameOf = (key: string) => {
      if (Object.hasOwn(names, key)) return names[key]!;
      if (index < written) return `${label}.${key}`;
      return `VANITYPOOL_WEBHOOKS__${index}__${key.toUpperCase()}`;
    };
    const { events } = values;
    const listed =
      events === undefined ? {} : { events: events.split(',').map((one) => one.trim()) };
    const { url, secret, ...others } = check({ ...given, ...values, ...listed }, RULES, nameOf);
    for (const [key, value] of Object.entries({ url, secret })) {
      if (value !== '') continue;
      const detail = `${nameOf(key)}: is missing; allowed: ${RULES[key]!.allowed}`;
      throw new VanityError('CONFIG_INVALID', detail);
    }
    return Object.freeze({ label, url, secret, ...others } as WebhookConfig);
  });
  return Object.freeze(read);
}

/** The key that a `whsec_...` is, or undefined for another text. */
export function keyOf(secret: string): Buffer | undefined {
  const base64 = secret.startsWith(SECRET_PREFIX) ? secret.slice(SECRET_PREFIX.length) : '';
  const key = BASE64.test(base64) ? Buffer.from(base64, 'base64') : Buffer.alloc(0);
  return key.length >= KEY_BYTES_MIN && key.length <= KEY_BYTES_MAX ? key : undefined;
}

function isSecret(value: string): boolean {
  return /^env:[A-Za-z_]\w*$/.test(value) || keyOf(value) !== undefined;
}

function isEvents(value: unknown): value is readonly WebhookEvent[] {
  const isKnown = (one: unknown) => (WEBHOOK_EVENTS as readonly unknown[]).includes(one);
  return Array.isArray(value) && value.length > 0 && value.every(isKnown);
}

function isAllowedUrl(value: string): boolean {
  const url = URL.parse(value);
  if (url === null || `${url.username}${url.password}${url.hash}` !== '') return false;
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
}

/** As a URL spells it: `127.1` has become `127.0.0.1`. */
function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
}
