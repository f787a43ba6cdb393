import { nanoid } from "nanoid";
import createFetchClient, { type Client as FetchClient, type Middleware } from "openapi-fetch";

import { retrying } from "./retry.js";
import type { paths } from "./schema.js";
import { timed } from "./timeout.js";

/** Answers that are parsed. A list can also answer CSV or JSON lines, which is no page of it. */
type Json = "application/json" | "application/problem+json";

/** openapi-fetch's client of the API: `client.GET("/v1/calls", …)`. */
export type Client = FetchClient<paths, Json>;

/** Who asks: an API key, or a member's access token. A function is asked for it before each request. */
export type Credential =
  | { apiKey: string; token?: never }
  | { token: string | (() => string | Promise<string>); apiKey?: never };

/** Which API, who asks, and how patiently. */
export type ClientOptions = Credential & {
  /** Where the API is, without `/v1`. */
  baseUrl: string;
  /** With a token of a user who belongs to several organizations: which one is meant. */
  organizationId?: string;
  /** In the place of the global `fetch`. */
  fetch?: (request: Request) => Promise<Response>;
  /** The longest silence of the server, before an answer and within it. Default: a minute. */
  timeoutMs?: number;
  /** How often a request is sent again at most. Default: 3. */
  retries?: number;
};

/** A client of the API. It names each POST by an `Idempotency-Key`, and sends again what failed for now. */
export function createClient(options: ClientOptions): Client {
  const { baseUrl, organizationId, timeoutMs = 60_000, retries = 3 } = options;
  // Looked up at each request, for those who replace it later, as tests do.
  const send = options.fetch ?? ((request: Request) => globalThis.fetch(request));
  const client = createFetchClient<paths, Json>({
    baseUrl,
    headers: { "X-Organization-Id": organizationId },
    fetch: retrying(timed(send, timeoutMs), retries),
  });
  client.use(authorization(options), idempotency);
  return client;
}

function authorization({ apiKey, token }: Credential): Middleware {
  return {
    async onRequest({ request }) {
      const bearer = apiKey ?? (typeof token === "function" ? await token() : token);
      request.headers.set("Authorization", `Bearer ${bearer}`);
    },
  };
}

const idempotency: Middleware = {
  onRequest({ request }) {
    if (request.method === "POST" && !request.headers.has("Idempotency-Key")) {
      // Not crypto.randomUUID: Node 18 has no global crypto, and pages without TLS not that function.
      request.headers.set("Idempotency-Key", nanoid());
    }
  },
};
