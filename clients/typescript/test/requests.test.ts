import assert from "node:assert/strict";
import test from "node:test";

import { PostcallError, createClient, paginate, unwrap } from "../src/index.js";
import { broken, json, problem, scripted, silent } from "./server.js";

const page = { data: [], next_cursor: null };
const create = { name: "Front desk", provider: "vapi" } as const;

test("a request says who asks, and a POST has a key of its own", async (t) => {
  const { client, arrived } = await scripted(t, [json({}), json({}), json({}), json(page)], {
    organizationId: "organization-1",
  });
  await client.POST("/v1/assistants", { body: create });
  await client.POST("/v1/assistants", { body: create });
  const header = { "Idempotency-Key": "mine" };
  await client.POST("/v1/assistants", { params: { header }, body: create });
  await client.GET("/v1/assistants");
  const [first, second, third] = arrived.map(({ headers }) => String(headers["idempotency-key"]));
  assert.match(String(first), /^[\w-]{21}$/);
  assert.notEqual(first, second);
  assert.equal(third, "mine");
  assert.equal(arrived[3]?.headers["idempotency-key"], undefined);
  for (const { headers } of arrived) {
    assert.equal(headers.authorization, "Bearer key");
    assert.equal(headers["x-organization-id"], "organization-1");
  }
});

test("a token is asked for anew, and fetch may be another", async () => {
  let count = 0;
  const seen: (string | null)[] = [];
  const client = createClient({
    baseUrl: "http://nowhere",
    token: async () => `token ${++count}`,
    fetch: async ({ headers }) => {
      seen.push(headers.get("Authorization"));
      return Response.json(page);
    },
  });
  await client.GET("/v1/calls");
  await client.GET("/v1/calls");
  assert.deepEqual(seen, ["Bearer token 1", "Bearer token 2"]);
});

test("what is refused for now is sent again, the same and with the same key", async (t) => {
  const { client, arrived } = await scripted(t, [
    problem(429, "rate-limited", { "Retry-After": "1" }),
    problem(503, "unavailable", { "Retry-After": new Date().toUTCString() }),
    problem(409, "idempotency-under-way", { "Retry-After": "0" }),
    json({ id: "1" }),
  ]);
  const before = Date.now();
  const made = unwrap(await client.POST("/v1/assistants", { body: create }));
  assert.equal(made.id, "1");
  assert.ok(Date.now() - before >= 1000);
  assert.equal(arrived.length, 4);
  assert.equal(new Set(arrived.map(({ headers }) => headers["idempotency-key"])).size, 1);
  assert.deepEqual(new Set(arrived.map(({ body }) => body)), new Set([JSON.stringify(create)]));
});

test("retries end, and a long pause is the caller's to make", { timeout: 20_000 }, async (t) => {
  const soon = problem(503, "unavailable", { "Retry-After": "0" });
  const { client, arrived } = await scripted(t, [soon, soon, soon, soon]);
  const { response } = await client.GET("/v1/calls");
  assert.equal(response.status, 503);
  assert.equal(arrived.length, 4);

  const later = await scripted(t, [problem(429, "rate-limited", { "Retry-After": "3600" })]);
  const refused = unwrapped(await later.client.GET("/v1/calls"));
  assert.equal(refused.retryAfterMs, 3_600_000);
  assert.equal(later.arrived.length, 1);
});

test("other errors stand, and tell what was wrong", async (t) => {
  const errors = [{ pointer: "#/body/name", detail: "must not be empty" }];
  const { client, arrived } = await scripted(t, [
    (response) =>
      response
        .writeHead(400, { "Content-Type": "application/problem+json" })
        .end(JSON.stringify({ type: "/docs/problems/x", title: "Wrong", status: 400, detail: "No.", errors })),
    problem(409, "conflict"),
    (response) => response.writeHead(502, { "X-Request-Id": "request-2" }).end("<html>"),
    (response) => response.writeHead(500).end(),
  ]);
  const wrong = unwrapped(await client.GET("/v1/calls"));
  assert.equal(wrong.message, "Wrong: No.");
  assert.equal(wrong.type, "/docs/problems/x");
  assert.deepEqual(wrong.errors, errors);
  const conflict = unwrapped(await client.GET("/v1/calls"));
  assert.deepEqual([conflict.status, conflict.title, conflict.instance], [409, "conflict", "request-1"]);
  const proxy = unwrapped(await client.GET("/v1/calls"));
  assert.deepEqual([proxy.type, proxy.title, proxy.instance], ["about:blank", "HTTP 502", "request-2"]);
  assert.equal(unwrapped(await client.GET("/v1/calls")).status, 500);
  assert.equal(arrived.length, 4);
});

test("what was not answered is sent again where that does nothing twice", async (t) => {
  const cut = (response: Parameters<typeof broken>[0]) => {
    response.writeHead(200, { "Content-Type": "application/json", "Content-Length": "100" });
    response.write("{", () => setTimeout(() => response.destroy(), 50));
  };
  const { client, arrived } = await scripted(t, [
    broken,
    json(page),
    cut,
    json(page),
    broken,
    json({ id: "1" }),
    broken,
  ]);
  assert.deepEqual(unwrap(await client.GET("/v1/calls")), page);
  assert.deepEqual(unwrap(await client.GET("/v1/calls")), page);
  unwrap(await client.POST("/v1/assistants", { body: create }));
  assert.equal(arrived[4]?.headers["idempotency-key"], arrived[5]?.headers["idempotency-key"]);
  const path = { id: "1" };
  await assert.rejects(client.DELETE("/v1/assistants/{id}", { params: { path } }), TypeError);
  assert.equal(arrived.length, 7);
});

test("a silent server is not waited for", { timeout: 20_000 }, async (t) => {
  const half = (response: Parameters<typeof silent>[0]) => {
    response.setHeader("Content-Type", "application/json").write("{");
  };
  const { client, arrived } = await scripted(t, [silent, half, json(page), silent], {
    timeoutMs: 200,
    retries: 2,
  });
  assert.deepEqual(unwrap(await client.GET("/v1/calls")), page);
  const update = client.PATCH("/v1/organization", { body: { name: "Acme" } });
  await assert.rejects(update, { name: "TimeoutError" });
  assert.equal(arrived.length, 4);
});

test("a caller's signal ends a request, and the wait for the next", { timeout: 20_000 }, async (t) => {
  const { client, arrived } = await scripted(t, [
    silent,
    problem(429, "rate-limited", { "Retry-After": "20" }),
  ]);
  for (const count of [1, 2]) {
    const signal = AbortSignal.timeout(200);
    await assert.rejects(client.GET("/v1/calls", { signal }), { name: "TimeoutError" });
    assert.equal(arrived.length, count);
  }
});

test("a list is read page after page", async (t) => {
  const { client, arrived } = await scripted(t, [
    json({ data: [{ id: "1" }, { id: "2" }], next_cursor: "a b" }),
    json({ data: [{ id: "3" }], next_cursor: null }),
    problem(403, "forbidden"),
  ]);
  const params = { query: { status: "completed", limit: 2 } } as const;
  const ids: string[] = [];
  for await (const call of paginate(client, "/v1/calls", params)) ids.push(call.id);
  assert.deepEqual(ids, ["1", "2", "3"]);
  assert.deepEqual(
    arrived.map(({ url }) => url.search),
    ["?status=completed&limit=2", "?status=completed&limit=2&cursor=a%20b"],
  );
  const path = { id: "1" };
  await assert.rejects(paginate(client, "/v1/webhooks/{id}/logs", { path }).next(), PostcallError);
});

function unwrapped(answer: Parameters<typeof unwrap>[0]): PostcallError {
  try {
    unwrap(answer);
  } catch (error) {
    if (error instanceof PostcallError) return error;
  }
  return assert.fail("it is a success");
}
