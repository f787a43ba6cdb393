/** Typed client of postcall's HTTP API. */
export { createClient, type Client, type ClientOptions, type Credential } from "./client.js";
export { PostcallError, unwrap } from "./error.js";
export { exportRows, type ExportParams, type ExportRow } from "./export.js";
export type { ListParams, ListPath, ListRow } from "./list.js";
export { paginate } from "./paginate.js";
export type * from "./schema.js";
