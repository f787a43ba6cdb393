import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";

import { PostcallError, exportRows, type ExportRow } from "../src/index.js";
import { broken, lines, problem, scripted } from "./server.js";

/** Rows as the API sends them: the last one of a page has the cursor of the next. */
function rows(from: number, to: number, cursor: string | null = null): string {
  let text = "";
  for (let id = from; id <= to; id++) {
    text += `${JSON.stringify({ id, name: "Zoë ✓", cursor: id === to ? cursor : null })}\n`;
  }
  return text;
}

async function ids(exported: AsyncIterable<ExportRow>): Promise<unknown[]> {
  const ids = [];
  for await (const { id } of exported) ids.push(id);
  return ids;
}

test("rows are parsed, and the cursor is the caller's where it was asked for", async (t) => {
  const { client, arrived } = await scripted(t, [lines(rows(1, 2)), lines(rows(1, 2, "a"))]);
  const all = [];
  for await (const row of exportRows(client, "/v1/calls", { query: { status: "completed" } })) all.push(row);
  assert.deepEqual(all, [{ id: 1, name: "Zoë ✓" }, { id: 2, name: "Zoë ✓" }]);
  const chosen = [];
  const query = { columns: "id, cursor", cursor: "start" };
  for await (const row of exportRows(client, "/v1/calls", { query })) chosen.push(row.cursor);
  assert.deepEqual(chosen, [null, "a"]);
  assert.deepEqual(
    arrived.map(({ url }) => Object.fromEntries(url.searchParams)),
    [
      { status: "completed", format: "jsonl", columns: "*,cursor" },
      { format: "jsonl", columns: "id, cursor", cursor: "start" },
    ],
  );
});

test("a broken export goes on after the last whole page", async (t) => {
  const { client, arrived } = await scripted(t, [
    // Before any page, within a page, within a row, before an answer, at the end of a page.
    lines(rows(1, 2), "broken"),
    lines(rows(1, 3, "a") + rows(4, 5), "broken"),
    lines(`${rows(4, 6, "b")}{"id":7,"na`, "broken"),
    broken,
    lines(rows(7, 9, "c"), "broken"),
    lines(rows(10, 11)),
  ]);
  const exported = exportRows(client, "/v1/calls", {});
  assert.deepEqual(await ids(exported), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  const cursors = arrived.map(({ url }) => url.searchParams.get("cursor"));
  assert.deepEqual(cursors, [null, null, "a", "b", "b", "c"]);
});

test("a cut that looks like an end, and silence, are breaks too", { timeout: 20_000 }, async (t) => {
  const { client } = await scripted(
    t,
    [lines(`${rows(1, 2, "a")}{"id":3`), lines(rows(3, 4, "b"), "silent"), lines(rows(5, 5))],
    { timeoutMs: 200 },
  );
  assert.deepEqual(await ids(exportRows(client, "/v1/calls", {})), [1, 2, 3, 4, 5]);
});

test("a slow reader is no silence of the server", async (t) => {
  const { client, arrived } = await scripted(t, [lines(rows(1, 1, "a") + rows(2, 2, "b"))], {
    timeoutMs: 100,
  });
  const seen = [];
  for await (const { id } of exportRows(client, "/v1/calls", {})) {
    seen.push(id);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  assert.deepEqual(seen, [1, 2]);
  assert.equal(arrived.length, 1);
});

test("rows without a cursor are not kept back for ever, and never given twice", async (t) => {
  const { client, arrived } = await scripted(t, [lines(rows(1, 600), "broken")]);
  const seen: unknown[] = [];
  await assert.rejects(async () => {
    for await (const { id } of exportRows(client, "/v1/usage", {})) seen.push(id);
  }, TypeError);
  assert.equal(seen.length, 500);
  assert.equal(arrived.length, 1);
});

test("an export gives up", { timeout: 60_000 }, async (t) => {
  const cut = lines(rows(1, 1), "broken");
  const { client, arrived } = await scripted(t, [cut, cut, cut, cut, cut, cut]);
  await assert.rejects(ids(exportRows(client, "/v1/calls", {})), TypeError);
  assert.equal(arrived.length, 6);

  const refused = await scripted(t, [lines(rows(1, 1, "a"), "broken"), problem(401, "unauthenticated")]);
  await assert.rejects(ids(exportRows(refused.client, "/v1/calls", {})), PostcallError);
});

test("who stops reading, or says so by a signal, ends the export", { timeout: 20_000 }, async (t) => {
  let closed: Promise<unknown> | undefined;
  const endless = lines(rows(1, 1, "a"), "silent");
  const { client, arrived } = await scripted(t, [
    (response) => {
      closed = once(response, "close");
      endless(response);
    },
    endless,
  ]);
  for await (const { id } of exportRows(client, "/v1/calls", {})) {
    assert.equal(id, 1);
    break;
  }
  await closed;
  const signal = AbortSignal.timeout(200);
  const exported = exportRows(client, "/v1/calls", {}, { format: "jsonl", signal });
  await assert.rejects(ids(exported), { name: "TimeoutError" });
  assert.equal(arrived.length, 2);
});
