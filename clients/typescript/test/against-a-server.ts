// Runs against a real server: POSTCALL_API_URL is where it is, POSTCALL_API_KEY may read and write.
// Prints `ok`; whatever is not as expected ends it with an error.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";

import { PostcallError, createClient, exportRows, paginate, unwrap } from "../src/index.js";

const { POSTCALL_API_URL: baseUrl, POSTCALL_API_KEY: apiKey } = process.env;
assert.ok(baseUrl && apiKey, "POSTCALL_API_URL and POSTCALL_API_KEY must be set");
const client = createClient({ baseUrl, apiKey });

await assistants();
await mistakes();
await calls();
console.log("ok");

async function assistants(): Promise<void> {
  const body = { name: "Front desk", provider: "vapi", configuration: { greeting: "Hello" } } as const;
  const header = { "Idempotency-Key": randomUUID() };
  const created = unwrap(await client.POST("/v1/assistants", { params: { header }, body }));
  const again = await client.POST("/v1/assistants", { params: { header }, body });
  assert.equal(unwrap(again).id, created.id);
  assert.equal(again.response.headers.get("Idempotent-Replayed"), "true");
  const other = unwrap(await client.POST("/v1/assistants", { body }));
  assert.notEqual(other.id, created.id);

  const path = { id: created.id };
  const read = await client.GET("/v1/assistants/{id}", { params: { path } });
  assert.deepEqual(unwrap(read), created);
  assert.deepEqual(unwrap(read).configuration, body.configuration);
  const etag = read.response.headers.get("ETag");
  assert.ok(etag);

  const params = { path, header: { "If-Match": etag } };
  const update = { params, body: { name: "Reception" } };
  const updated = unwrap(await client.PATCH("/v1/assistants/{id}", update));
  assert.equal(updated.name, "Reception");
  const stale = refused(await client.PATCH("/v1/assistants/{id}", update));
  assert.equal(stale.status, 412);
  assert.equal(stale.type, "/docs/problems/precondition-failed");

  const ids: string[] = [];
  for await (const { id } of paginate(client, "/v1/assistants", { query: { limit: 1 } })) ids.push(id);
  assert.equal(new Set(ids).size, ids.length);
  // The newest first.
  assert.deepEqual(ids.slice(0, 2), [other.id, created.id]);
  const exported: unknown[] = [];
  const query = { columns: "id,name" };
  for await (const { id } of exportRows(client, "/v1/assistants", { query })) exported.push(id);
  assert.deepEqual(exported, ids);

  for (const { id } of [created, other]) {
    const params = { path: { id } };
    unwrap(await client.DELETE("/v1/assistants/{id}", { params }));
    const gone = refused(await client.GET("/v1/assistants/{id}", { params }));
    assert.equal(gone.status, 404);
    assert.equal(gone.type, "/docs/problems/not-found");
    assert.ok(gone.instance);
  }
}

async function mistakes(): Promise<void> {
  const body = { name: "", provider: "vapi" } as const;
  const wrong = refused(await client.POST("/v1/assistants", { body }));
  assert.equal(wrong.status, 400);
  assert.equal(wrong.type, "/docs/problems/invalid-request");
  assert.deepEqual(wrong.errors.map(({ pointer }) => pointer), ["#/body/name"]);
  const stranger = createClient({ baseUrl: baseUrl ?? "", apiKey: "vx_nobody" });
  assert.equal(refused(await stranger.GET("/v1/calls")).status, 401);
}

async function calls(): Promise<void> {
  const { data } = unwrap(await client.GET("/v1/calls", { params: { query: { limit: 5 } } }));
  for (const { id } of data.slice(0, 1)) {
    const call = unwrap(await client.GET("/v1/calls/{id}", { params: { path: { id } } }));
    assert.equal(call.id, id);
  }
  const dashboard = unwrap(await client.GET("/v1/dashboard"));
  assert.ok(dashboard.organization.id);
}

function refused(answer: Parameters<typeof unwrap>[0]): PostcallError {
  try {
    unwrap(answer);
  } catch (error) {
    if (error instanceof PostcallError) return error;
  }
  return assert.fail(`${answer.response.status} is no error`);
}
