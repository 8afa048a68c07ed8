/**
 * Server-sent events as the server writes them: one `data` line each. What is no event of the type
 * that is wanted is passed over. Pure.
 */

/** The data of events of one type in a text that comes in pieces. */
export async function* eventsIn(
  pieces: AsyncIterable<string>,
  type: string,
): AsyncGenerator<string> {
  let rest = '';
  for await (const piece of pieces) {
    const blocks = (rest + piece).split('\n\n');
    rest = blocks.pop()!;
    for (const block of blocks) {
      const fields = new Map(
        block.split('\n').map((line) => {
          const [name = '', ...value] = line.split(': ');
          return [name, value.join(': ')];
        }),
      );
      const data = fields.get('data');
      if (fields.get('event') === type && data !== undefined) yield data;
    }
  }
}
