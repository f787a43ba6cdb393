import { retryAfter } from "./retry.js";
import type { FieldError, Problem } from "./schema.js";

/** An error that the API answered: a problem (RFC 9457). */
export class PostcallError extends Error {
  override readonly name = "PostcallError";
  /** Kind of the problem, as `/docs/problems/not-found`; `about:blank` where something else answered. */
  readonly type: string;
  /** The kind in words. */
  readonly title: string;
  /** HTTP status. */
  readonly status: number;
  /** What went wrong this time. */
  readonly detail: string | undefined;
  /** Id of the request. */
  readonly instance: string | undefined;
  /** The parts of the request that are wrong. */
  readonly errors: readonly FieldError[];
  /** Milliseconds after which another try is worth it, where the server told. */
  readonly retryAfterMs: number | undefined;

  /** Of a response that is no success, and its body, parsed. */
  constructor(response: Response, body: unknown) {
    const problem: Partial<Problem> = isProblem(body) ? body : {};
    const title = problem.title ?? `HTTP ${response.status}`;
    super(problem.detail ? `${title}: ${problem.detail}` : title);
    this.type = problem.type ?? "about:blank";
    this.title = title;
    this.status = response.status;
    this.detail = problem.detail ?? undefined;
    this.instance = problem.instance ?? response.headers.get("X-Request-Id") ?? undefined;
    this.errors = problem.errors ?? [];
    this.retryAfterMs = retryAfter(response);
  }
}

/** A proxy's page is none. */
function isProblem(body: unknown): body is Problem {
  return typeof body === "object" && body !== null && "type" in body && "title" in body;
}

/** What an answer holds; a `PostcallError` is thrown where the API refused. */
export function unwrap<Data>(answer: { data?: Data; error?: unknown; response: Response }): Data {
  if (!answer.response.ok) throw new PostcallError(answer.response, answer.error);
  return answer.data as Data;
}
