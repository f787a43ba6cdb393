import type { Send } from "./retry.js";

/** Runs a step of a request for so long as a server may be silent. */
type Within = <Result>(step: Promise<Result>) => Promise<Result>;

/**
 * Ends a request with a `TimeoutError` when the server is silent for too long, before its answer or within
 * it. An answer may take as long as it likes while something comes, as exports and recordings do.
 */
export function timed(send: Send, timeoutMs: number): Send {
  return async (request) => {
    const silence = new AbortController();
    const within: Within = async (step) => {
      const error = new DOMException(`No sign of the server for ${timeoutMs} ms`, "TimeoutError");
      const timer = setTimeout(() => silence.abort(error), timeoutMs);
      try {
        return await step;
      } finally {
        clearTimeout(timer);
      }
    };
    const signal = AbortSignal.any([request.signal, silence.signal]);
    const response = await within(send(new Request(request, { signal })));
    if (response.body === null) return response;
    const watched = new Response(watch(response.body, within), response);
    // JSON is read here, so that an answer that breaks off counts as none, and is asked for again.
    return isJson(response) ? new Response(await watched.arrayBuffer(), response) : watched;
  };
}

/** Time runs while something is asked for: a reader that pauses is no silence of the server. */
function watch(body: ReadableStream<Uint8Array>, within: Within): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await within(reader.read());
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel: (reason) => reader.cancel(reason),
  });
}

function isJson({ headers }: Response): boolean {
  return /^application\/(problem\+)?json\b/i.test(headers.get("Content-Type") ?? "");
}
