import type { Client } from "./client.js";
import { PostcallError } from "./error.js";
import { readList, type ListParams, type ListPath } from "./list.js";
import { backoff, sleep } from "./retry.js";

/** A row of an export: its columns by their names, and one within another as `outer.inner`. */
export type ExportRow = { cursor?: string | null; [column: string]: unknown };

/** What a list takes, and the columns of the export, separated by commas. Default: `*`, all of them. */
export type ExportParams<Path extends ListPath> = Omit<ListParams<Path>, "query"> & {
  query?: Omit<NonNullable<ListParams<Path>["query"]>, "columns" | "format"> & { columns?: string };
};

/** Rows that are kept back at most. The server's pages are shorter. */
const LONGEST_PAGE = 500;
/** How often in a row an export may break off without having brought a page. */
const MOST_BREAKS = 5;

/**
 * All rows of a list from `cursor` on, streamed. An export that breaks off is gone on with: rows are kept
 * back until the cursor of their page has come, so that each row is given once. CSV has no such rows: read
 * it as `client.GET(path, { …, parseAs: "text" })`.
 */
export async function* exportRows<Path extends ListPath>(
  client: Client,
  path: Path,
  params: ExportParams<Path>,
  { format = "jsonl", signal }: { format?: "jsonl"; signal?: AbortSignal } = {},
): AsyncGenerator<ExportRow, void, undefined> {
  const { columns = "*", ...filters } = (params.query ?? {}) as { columns?: string; cursor?: string };
  const hasCursor = columns.split(",").some((name) => name.trim() === "cursor");
  const query = { ...filters, format, columns: hasCursor ? columns : `${columns},cursor` };
  for (let breaks = 0; ; breaks++) {
    const page: ExportRow[] = [];
    // Rows that were given without a cursor would come again.
    let isResumable = true;
    try {
      const given = { ...params, query };
      const body = await readList(client, path, { params: given, parseAs: "stream", signal });
      for await (const row of rows(body as ReadableStream<BufferSource>)) {
        const { cursor } = row;
        if (!hasCursor) delete row.cursor;
        page.push(row);
        if (!cursor && page.length < LONGEST_PAGE) continue;
        if (cursor) query.cursor = cursor;
        isResumable = Boolean(cursor);
        breaks = 0;
        yield* page.splice(0);
      }
      yield* page;
      return;
    } catch (error) {
      const isRefused = error instanceof PostcallError;
      if (isRefused || !isResumable || breaks === MOST_BREAKS) throw error;
    }
    await sleep(backoff(breaks + 1), signal);
  }
}

async function* rows(body: ReadableStream<BufferSource>): AsyncGenerator<ExportRow> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const lines = (text + value).split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) yield JSON.parse(line);
    }
    // A row that is cut is no JSON: an error, like any other break.
    if (text !== "") yield JSON.parse(text);
  } finally {
    await reader.cancel();
  }
}
