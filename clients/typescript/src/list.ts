import type { MethodResponse } from "openapi-fetch";

import type { Client } from "./client.js";
import { unwrap } from "./error.js";
import type { paths } from "./schema.js";

/** Paths that answer a list. */
export type ListPath = {
  [Path in keyof paths]: paths[Path] extends { get: Answers<{ data: unknown[] }> } ? Path : never;
}[keyof paths];

type Answers<Body> = { responses: { 200: { content: { "application/json": Body } } } };

/** A row of a list. */
export type ListRow<Path extends ListPath> =
  MethodResponse<Client, "get", Path> extends { data: (infer Row)[] } ? Row : never;

/** What a list takes: filters in `query`, ids in `path`. */
export type ListParams<Path extends ListPath> = paths[Path]["get"]["parameters"];

/** Parameters of any list. */
export type AnyParams = { query?: object | undefined; path?: object | undefined };

/** Where openapi-fetch cannot tell the parameters of a path, because the path is any list's. */
type AnyGet = (
  path: ListPath,
  init: { params: AnyParams; parseAs?: "stream"; signal?: AbortSignal | undefined },
) => Promise<{ data?: unknown; error?: unknown; response: Response }>;

/** Reads a list. */
export async function readList(client: Client, ...request: Parameters<AnyGet>): Promise<unknown> {
  return unwrap(await (client.GET as AnyGet)(...request));
}
