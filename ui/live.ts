/** News from the daemon: event streams that come back after an interruption, and what is known of the connection. */
import { useEffect, useRef, useSyncExternalStore } from "react";

export type Connection =
  | { readonly state: "live" }
  | { readonly state: "idle" }
  | { readonly state: "lost"; readonly since: number };

let connection: Connection = { state: "idle" };
const listeners = new Set<() => void>();

function setConnection(next: Connection): void {
  if (next.state === connection.state) return;
  connection = next;
  for (const listener of listeners) listener();
}

export function useConnection(): Connection {
  return useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => connection,
  );
}

/** A handler says itself what its event holds. */
interface Handler {
  handle(data: unknown): void;
}
type Handlers = Readonly<Record<string, Handler["handle"]>>;

/** Milliseconds until another try, after the browser has given up. */
const retryAfter = 1500;

/** Milliseconds after which a page that nobody sees lets its connection go: browsers have few of them. */
const hiddenFor = 60_000;

/**
 * Follows an event stream while it is shown; null follows nothing. `handlers` by the name of the event, `message` for those without one;
 * the daemon's `end` ends it. When a connection is lost, the stream goes on where it was.
 */
export function useEvents(url: string | null, handlers: Handlers): void {
  const current = useRef(handlers);
  current.current = handlers;
  const names = Object.keys(handlers).join(" ");
  useEffect(() => {
    if (url === null) return undefined;
    const source = new LiveSource(url, names.split(" "), (name, data) =>
      current.current[name]?.(data),
    );
    return () => source.close();
  }, [url, names]);
}

class LiveSource {
  readonly #url: string;
  readonly #names: readonly string[];
  readonly #tell: (name: string, data: unknown) => void;
  #source: EventSource | undefined;
  #retry: ReturnType<typeof setTimeout> | undefined;
  /** Runs while the page is hidden. */
  #rest: ReturnType<typeof setTimeout> | undefined;
  #lastID = "";
  #isOver = false;

  constructor(url: string, names: readonly string[], tell: (name: string, data: unknown) => void) {
    this.#url = url;
    this.#names = names;
    this.#tell = tell;
    document.addEventListener("visibilitychange", this.#look);
    this.#open();
  }

  close(): void {
    this.#isOver = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#rest);
    document.removeEventListener("visibilitychange", this.#look);
    this.#source?.close();
    setConnection({ state: "idle" });
  }

  #open(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    // A new EventSource knows nothing of the one before: the address says where to go on.
    const url = new URL(this.#url, location.href);
    if (this.#lastID !== "") url.searchParams.set("lastEventId", this.#lastID);
    const source = new EventSource(url);
    this.#source = source;
    source.addEventListener("open", () => setConnection({ state: "live" }));
    source.addEventListener("error", () => {
      setConnection({ state: "lost", since: Date.now() });
      if (source.readyState !== EventSource.CLOSED || this.#isOver) return;
      clearTimeout(this.#retry);
      this.#retry = setTimeout(() => this.#open(), retryAfter);
    });
    source.addEventListener("end", () => this.#end());
    for (const name of this.#names) {
      source.addEventListener(name, (event: MessageEvent<string>) => {
        if (event.lastEventId !== "") this.#lastID = event.lastEventId;
        this.#tell(name, JSON.parse(event.data));
      });
    }
  }

  /** Nothing more will happen there. */
  #end(): void {
    this.#isOver = true;
    this.#source?.close();
    setConnection({ state: "idle" });
  }

  readonly #look = (): void => {
    if (this.#isOver) return;
    clearTimeout(this.#rest);
    if (document.visibilityState === "hidden") {
      this.#rest = setTimeout(() => {
        clearTimeout(this.#retry);
        this.#source?.close();
        this.#source = undefined;
      }, hiddenFor);
    } else if (this.#source === undefined || this.#source.readyState === EventSource.CLOSED) {
      this.#open();
    }
  };
}
