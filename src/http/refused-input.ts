/**
 * What a schema refused, in words: the field, and what it may be. Pure. The words come from the schema
 * itself, so that they say what is checked; a value is never repeated, since it may be a secret.
 */

import { PATTERNS } from '../api/fields.ts';
import { type ErrorCode, VanityError } from '../errors.ts';

export interface Schema {
  readonly type?: string | readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly items?: Schema;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly pattern?: string;
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly uniqueItems?: boolean;
  readonly minProperties?: number;
}

/** A finding of the validator, with all its details. */
export interface Refusal {
  readonly keyword: string;
  /** `/scopes/0`, within what is checked. */
  readonly instancePath: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly parentSchema?: Schema;
  readonly data?: unknown;
}

export function refusedInput(refusals: readonly Refusal[], context: string): VanityError {
  const refusal = mostTelling(refusals);
  const where = context === 'querystring' ? 'query' : context;
  const at = `${where}${refusal.instancePath}`;
  const general = where === 'body' ? 'BODY_INVALID' : 'REQUEST_INVALID';
  return new VanityError(CODES[at] ?? general, describe(refusal, where, at));
}

/** Of fields that have a code of their own. */
const CODES: Readonly<Record<string, ErrorCode>> = {
  'body/count': 'COUNT_INVALID',
  'body/message': 'MESSAGE_INVALID',
  'headers/idempotency-key': 'IDEMPOTENCY_KEY_INVALID',
};

/**
 * Of a schema that is one of several, what is wrong with each comes first, and then that it is none: the
 * latter is most helpful when only the distinguishing part is wrong.
 */
function mostTelling(refusals: readonly Refusal[]): Refusal {
  const last = refusals.at(-1)!;
  const choice = choiceOf(last.parentSchema);
  const isOfChoice = ({ keyword, params }: Refusal) =>
    keyword === 'anyOf' ||
    keyword === 'oneOf' ||
    (keyword === 'required' && choice.includes(`${params.missingProperty}`));
  return refusals.find((refusal) => !isOfChoice(refusal)) ?? last;
}

/** What is required by some of its kinds and not by all. */
function choiceOf({ anyOf, oneOf, required: always = [] }: Schema = {}): string[] {
  return (anyOf ?? oneOf ?? []).flatMap(({ required = [] }) =>
    required.filter((name) => !always.includes(name)),
  );
}

function describe(refusal: Refusal, where: string, at: string): string {
  const { keyword, params, parentSchema: schema = {}, data, instancePath } = refusal;
  const { properties = {} } = schema;
  const names = Object.keys(properties);
  switch (keyword) {
    case 'additionalProperties': {
      const kind = where === 'query' ? 'parameter' : 'key';
      const allowed = names.length === 0 ? 'none' : names.join(', ');
      return `${at}: no such ${kind}: ${params.additionalProperty}; allowed: ${allowed}`;
    }
    case 'required': {
      const name = String(params.missingProperty);
      return `${at}/${name}: is missing; allowed: ${allowedBy(properties[name] ?? {})}`;
    }
    case 'oneOf': {
      return `${at}: allowed: one of ${choiceOf(schema).join(' and ')}`;
    }
    case 'anyOf': {
      return `${at}: ${choiceOf(schema).join(' and ')} are missing; allowed: one of them, or both`;
    }
  }
  const isMissing = instancePath === '' && (data === undefined || data === null);
  if (isMissing) return `${at}: is missing; allowed: ${allowedBy(schema)}`;
  if (where === 'query' && Array.isArray(data))
    return `${at}: is given more than once; allowed: once`;
  return `${at}: allowed: ${allowedBy(schema)}`;
}

/** What a value may be, as a phrase. */
function allowedBy(schema: Schema): string {
  const types = [schema.type ?? []].flat();
  const phrase = phraseOf(schema, types.find((type) => type !== 'null') ?? '');
  return types.includes('null') ? `${phrase}, or null` : phrase;
}

function phraseOf(schema: Schema, type: string): string {
  const values = schema.enum ?? (schema.const === undefined ? undefined : [schema.const]);
  if (values !== undefined) return oneOf(values.map((value) => JSON.stringify(value)));
  switch (type) {
    case 'integer':
      return `a whole number${range(schema.minimum, schema.maximum)}`;
    case 'number':
      return `a number${range(schema.minimum, schema.maximum)}`;
    case 'boolean':
      return 'true or false';
    case 'string':
      return phraseOfText(schema);
    case 'array': {
      const { minItems, maxItems, items = {}, uniqueItems } = schema;
      const most = maxItems === undefined ? 'or more' : `to ${maxItems}`;
      const size = minItems === undefined ? '' : ` of ${minItems} ${most}`;
      return `a list${size}, each ${allowedBy(items)}${uniqueItems ? ', none twice' : ''}`;
    }
    default: {
      const names = Object.keys(schema.properties ?? {});
      if (names.length === 0) return 'nothing, or an empty JSON object';
      const least = schema.minProperties === undefined ? '' : 'at least one of ';
      return `a JSON object with ${least}${names.join(', ')}`;
    }
  }
}

function phraseOfText({ pattern, format, minLength, maxLength }: Schema): string {
  if (format === 'date-time') return 'a time of RFC 3339, such as 2026-01-01T00:00:00Z';
  const words = PATTERNS.find((known) => known.pattern === pattern)?.words ?? 'a text';
  if (maxLength === undefined) return words;
  if (words === 'a text') return `a text of at most ${maxLength} characters`;
  return `${minLength} to ${maxLength} characters: ${words}`;
}

function oneOf(words: readonly string[]): string {
  const last = words.at(-1)!;
  return words.length === 1 ? last : `${words.slice(0, -1).join(', ')} or ${last}`;
}

function range(from: number | undefined, to: number | undefined): string {
  if (from === undefined) return '';
  return to === undefined ? ` from ${from}` : ` from ${from} to ${to}`;
}
