/** A log of which a test looks at the lines. */
export interface Line {
  readonly level: 'info' | 'warn' | 'error';
  readonly fields: Readonly<Record<string, unknown>>;
  readonly msg: string;
}

export function collectedLog() {
  const lines: Line[] = [];
  const at =
    (level: Line['level']) =>
    (fields: object, msg = ''): void =>
      void lines.push({ level, fields: fields as Line['fields'], msg });
  return { lines, info: at('info'), warn: at('warn'), error: at('error') };
}
