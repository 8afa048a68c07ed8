/** Elements of the page: text goes in as text alone, so nothing that a server says is ever markup. */

type Attributes = Readonly<Record<string, string | number>>;

export function element<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Attributes = {},
  ...children: (Node | string)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...children);
  return made;
}

/** Of the page as it is delivered. */
export function byId<T extends HTMLElement>(id: string): T {
  return document.getElementById(id) as T;
}

/** Changes nothing where nothing changed: a screen reader would say it again. */
export function setText(where: Element, text: string): void {
  if (where.textContent !== text) where.textContent = text;
}

export function button(text: string, onClick: () => void): HTMLButtonElement {
  const made = element('button', { type: 'button' }, text);
  made.addEventListener('click', onClick);
  return made;
}

/** Makes the rows of a table or a list what these texts say, and touches only what differs. */
export function setRows(
  where: Element,
  rows: readonly (readonly string[])[],
  row: (cells: number) => HTMLElement,
): void {
  while (where.children.length > rows.length) where.lastElementChild!.remove();
  for (const [index, texts] of rows.entries()) {
    if (where.children.length <= index) where.append(row(texts.length));
    const cells = where.children[index]!.children;
    for (const [at, text] of texts.entries()) setText(cells[at]!, text);
  }
}

/** A row of a table whose first cell names it. */
export function tableRow(cells: number): HTMLElement {
  const row = element('tr', {}, element('th', { scope: 'row' }));
  while (row.children.length < cells) row.append(element('td'));
  return row;
}
