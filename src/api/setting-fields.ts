/** Settings of a pool as fields of JSON Schema, made of their table. Pure. */
import {
  type ChangeableOf,
  changeable,
  type PoolSetting,
  type SettingsTable,
} from '../config/pool-settings.ts';

export interface Numbers<Type, S extends PoolSetting> {
  readonly type: Type;
  readonly minimum: number;
  readonly maximum: number;
  readonly description: S['description'];
}

export interface Choice<Values, S extends PoolSetting> {
  readonly type: 'string';
  readonly enum: Values;
  readonly description: S['description'];
}

export interface Texts<S extends PoolSetting> {
  readonly type: 'array';
  readonly items: { readonly type: 'string' };
  readonly description: S['description'];
}

export interface Plain<Type, S extends PoolSetting> {
  readonly type: Type;
  readonly description: S['description'];
}

type FieldOf<S extends PoolSetting> = S extends { readonly kind: 'whole' }
  ? Numbers<'integer', S>
  : S extends { readonly kind: 'number' }
    ? Numbers<'number', S>
    : S extends { readonly kind: 'boolean' }
      ? Plain<'boolean', S>
      : S extends { readonly kind: 'choice'; readonly values: infer Values }
        ? Choice<Values, S>
        : S extends { readonly kind: 'list' }
          ? Texts<S>
          : Plain<'string', S>;

type FieldsOf<Table extends SettingsTable, Names extends keyof Table> = {
  readonly [Name in Names]: FieldOf<Table[Name]>;
};

/** What can be given when a pool is made. */
export function newFields<Table extends SettingsTable>(table: Table): FieldsOf<Table, keyof Table> {
  const fields = Object.entries(table).map(([name, setting]) => [name, fieldOf(setting)]);
  return Object.fromEntries(fields) as FieldsOf<Table, keyof Table>;
}

/** What can be given to a running pool. */
export function changeFields<Table extends SettingsTable>(
  table: Table,
): FieldsOf<Table, ChangeableOf<Table>> {
  return newFields(changeable(table)) as unknown as FieldsOf<Table, ChangeableOf<Table>>;
}

/** As it is shown of a pool: a number that the program does not know is 0, whatever may be given. */
export function shownField<const S extends PoolSetting>(setting: S): FieldOf<S> {
  const { maximum: _, ...field } = fieldOf(setting) as Partial<Numbers<string, S>>;
  return ('minimum' in field ? { ...field, minimum: 0 } : field) as FieldOf<S>;
}

function fieldOf(setting: PoolSetting): object {
  const { description } = setting;
  switch (setting.kind) {
    case 'whole':
    case 'number': {
      const type = setting.kind === 'whole' ? 'integer' : 'number';
      const { min: minimum, max: maximum } = setting;
      return { type, minimum, maximum, description, examples: [setting.default] };
    }
    case 'boolean':
      return { type: 'boolean', description, examples: [setting.default] };
    case 'choice': {
      return { type: 'string', enum: setting.values, description, examples: [setting.default] };
    }
    case 'list': {
      const { pattern } = setting;
      const items = { type: 'string', minLength: 1, ...(pattern && { pattern }) };
      return { type: 'array', items, description, examples: [[setting.example]] };
    }
    case 'text': {
      const { pattern, example } = setting;
      return { type: 'string', ...(pattern && { pattern }), description, examples: [example] };
    }
  }
}
