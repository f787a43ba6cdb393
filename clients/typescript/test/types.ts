// Compiled, never run: what the compiler knows of the API, and what it refuses.
import { exportRows, paginate, unwrap, type Call, type CallsPage, type Client } from "../src/index.js";

export async function types(client: Client): Promise<void> {
  const page: CallsPage = unwrap(await client.GET("/v1/calls"));
  const file = await client.GET("/v1/calls/{id}/recording", { params: { path: { id: "1" } }, parseAs: "blob" });
  const recording: Blob = unwrap(file);
  const rows: AsyncIterable<Call> = paginate(client, "/v1/calls");
  console.log(page, recording, rows);

  // @ts-expect-error: a page is no text, though a list can answer some.
  const text: string = unwrap(await client.GET("/v1/billing/events"));
  // @ts-expect-error: there is no such path.
  await client.GET("/v1/nothing");
  // @ts-expect-error: the call's id is missing.
  await client.GET("/v1/calls/{id}");
  // @ts-expect-error: an assistant has a provider.
  await client.POST("/v1/assistants", { body: { name: text } });
  // @ts-expect-error: no call has this status.
  paginate(client, "/v1/calls", { query: { status: "done" } });
  // @ts-expect-error: it is no list.
  paginate(client, "/v1/dashboard");
  // @ts-expect-error: the endpoint's id is missing.
  paginate(client, "/v1/webhooks/{id}/logs");
  // @ts-expect-error: the endpoint's id is missing.
  exportRows(client, "/v1/webhooks/{id}/logs", { query: { columns: "*" } });
}
