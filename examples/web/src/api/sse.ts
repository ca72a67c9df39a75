/** Server-sent events from a fetch: EventSource can send neither a body nor an Authorization header. */

export interface ServerSentEvent {
  id: string;
  data: string;
}

/** Three of the comments that the API sends every 5 seconds: after that the connection is dead, whatever it says. */
const SILENCE_MS = 15_000;

export async function* readEvents(body: ReadableStream<Uint8Array>): AsyncGenerator<ServerSentEvent> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await withinSilence(reader.read());
      if (done) return;
      // An event ends with an empty line; what has no end yet waits for it, and is none if it never comes.
      const parts = (rest + value).replaceAll("\r\n", "\n").split("\n\n");
      rest = parts.pop()!;
      for (const part of parts) {
        const event = parse(part);
        if (event) yield event;
      }
    }
  } finally {
    // Says nothing to the run, which goes on: only this reader leaves.
    reader.cancel().catch(() => undefined);
  }
}

function parse(text: string): ServerSentEvent | undefined {
  const fields = text.split("\n").map((line) => /^(\w*): ?(.*)$/.exec(line));
  const of = (name: string) => fields.filter((field) => field?.[1] === name).map((field) => field![2]!);
  const data = of("data").join("\n");
  return data ? { id: of("id").at(-1) ?? "", data } : undefined;
}

async function withinSilence<T>(next: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const silence = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error("the connection is silent")), SILENCE_MS);
  });
  try {
    return await Promise.race([next, silence]);
  } finally {
    clearTimeout(timer);
  }
}
