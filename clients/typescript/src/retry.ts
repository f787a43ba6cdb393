/** Sends a request. */
export type Send = (request: Request) => Promise<Response>;

/** A server that wants a longer pause is not waited for: its answer is handed on. */
const LONGEST_WAIT_MS = 30_000;
const FIRST_BACKOFF_MS = 500;

/**
 * Sends a request again, at most `retries` times, when it was refused for now, and when it was not
 * answered, if repeating it does nothing twice: a GET, or what has an `Idempotency-Key`.
 */
export function retrying(send: Send, retries: number): Send {
  return async (request) => {
    const isRepeatable = request.method === "GET" || request.headers.has("Idempotency-Key");
    for (let sent = 1; ; sent++) {
      let waitMs;
      try {
        // A body can be sent once, so each attempt has a copy.
        const response = await send(request.clone());
        waitMs = waitAfter(response, sent);
        if (sent > retries || waitMs === undefined) return response;
        await response.body?.cancel();
      } catch (error) {
        if (sent > retries || !isRepeatable) throw error;
        waitMs = backoff(sent);
      }
      await sleep(waitMs, request.signal);
    }
  };
}

/** How long to wait before the request is sent again; undefined where the answer stands. */
function waitAfter(response: Response, sent: number): number | undefined {
  const told = retryAfter(response);
  // A conflict passes only where the first request with an Idempotency-Key is still under way.
  const passes = [429, 503].includes(response.status) || (response.status === 409 && told !== undefined);
  const waitMs = told ?? backoff(sent);
  return passes && waitMs <= LONGEST_WAIT_MS ? waitMs : undefined;
}

/** Milliseconds that `Retry-After` tells, in seconds or as a date. */
export function retryAfter({ headers }: Response): number | undefined {
  const value = headers.get("Retry-After");
  if (value === null) return undefined;
  const waitMs = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(waitMs) ? undefined : Math.max(waitMs, 0);
}

/** Milliseconds before the next attempt, at random, so that not all clients come back at once. */
export function backoff(attempt: number): number {
  return Math.random() * Math.min(FIRST_BACKOFF_MS * 2 ** (attempt - 1), LONGEST_WAIT_MS);
}

/** Waits; a signal ends it with its reason. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
