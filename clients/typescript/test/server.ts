import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";

import { createClient, type Client, type ClientOptions } from "../src/index.js";

/** A request as it arrived. */
export type Arrived = { method: string; url: URL; headers: IncomingHttpHeaders; body: string };

/** Answers a request. */
export type Answer = (response: ServerResponse) => void;

/** A client of a server that gives these answers, one after the other, and what has arrived there. */
export async function scripted(
  test: TestContext,
  answers: Answer[],
  options: Partial<Omit<ClientOptions, "apiKey" | "token">> = {},
): Promise<{ client: Client; arrived: Arrived[] }> {
  const arrived: Arrived[] = [];
  const server = createServer(async (request, response) => {
    const { method = "", url = "", headers } = request;
    let body = "";
    for await (const part of request) body += part;
    arrived.push({ method, url: new URL(url, "http://server"), headers, body });
    const answer = answers.shift() ?? problem(500, "unexpected");
    answer(response);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  test.after(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = createClient({ baseUrl: `http://127.0.0.1:${port}`, apiKey: "key", ...options });
  return { client, arrived };
}

/** A success. */
export function json(body: unknown): Answer {
  return (response) => response.setHeader("Content-Type", "application/json").end(JSON.stringify(body));
}

/** An error as the API answers it. */
export function problem(status: number, slug: string, headers: Record<string, string> = {}): Answer {
  return (response) =>
    response
      .writeHead(status, { "Content-Type": "application/problem+json", ...headers })
      .end(JSON.stringify({ type: `/docs/problems/${slug}`, title: slug, status, instance: "request-1" }));
}

/** The connection breaks before an answer. */
export const broken: Answer = (response) => response.destroy();

/** Nothing, for ever. */
export const silent: Answer = () => {};

/** Lines of JSON, and then the end of the answer, a broken connection or silence. */
export function lines(text: string, end: "whole" | "broken" | "silent" = "whole"): Answer {
  return (response) => {
    response.setHeader("Content-Type", "application/jsonl");
    response.write(text, () => {
      if (end === "whole") response.end();
      // What was written must have left before the connection goes.
      if (end === "broken") setTimeout(() => response.destroy(), 50);
    });
  };
}
