import type { Client } from "./client.js";
import { readList, type AnyParams, type ListParams, type ListPath, type ListRow } from "./list.js";

type Page<Row> = { data: Row[]; next_cursor?: string | null };

/** All rows of a list, page after page; `limit` is the length of a page. */
export async function* paginate<Path extends ListPath>(
  client: Client,
  path: Path,
  ...[given]: {} extends ListParams<Path> ? [params?: ListParams<Path>] : [params: ListParams<Path>]
): AsyncGenerator<ListRow<Path>, void, undefined> {
  let params: AnyParams = { ...given };
  for (;;) {
    const page = (await readList(client, path, { params })) as Page<ListRow<Path>>;
    yield* page.data;
    if (!page.next_cursor) return;
    params = { ...params, query: { ...params.query, cursor: page.next_cursor } };
  }
}
