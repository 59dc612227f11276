/** The page's way to the daemon: the HTTP API and nothing else. */
import { useEffect, useLayoutEffect, useState } from "react";
import type { ErrorMessage } from "../src/web/api/messages.ts";

export type * from "../src/web/api/messages.ts";

/** An answer that says why there is none. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, { code, message }: ErrorMessage) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

type Query = Readonly<Record<string, string | number | boolean | undefined>>;

/** The address of something in the API. */
export function apiUrl(path: string, query: Query = {}): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value !== undefined && value !== "") params.set(name, String(value));
  }
  const text = params.toString();
  return `/api/v1${path}${text === "" ? "" : `?${text}`}`;
}

/** @throws ApiError; another error when the daemon cannot be reached */
export async function getJson<T>(url: string, signal?: AbortSignal): Promise<T> {
  return await answerOf<T>(await fetch(url, signal === undefined ? {} : { signal }));
}

/** Changes something; the administrator's token has to be known. */
export async function postJson<T>(url: string, body: unknown = {}): Promise<T> {
  const headers = {
    "content-type": "application/json",
    authorization: `Bearer ${storedToken() ?? ""}`,
  };
  return await answerOf<T>(
    await fetch(url, { method: "POST", headers, body: JSON.stringify(body) }),
  );
}

async function answerOf<T>(response: Response): Promise<T> {
  if (response.ok) {
    // What the API says is what its messages are.
    const answer: T = await response.json();
    return answer;
  }
  const text = await response.text();
  let fault: ErrorMessage = { code: "http", message: text.trim() || response.statusText };
  try {
    fault = JSON.parse(text);
  } catch {
    // Not from the API itself.
  }
  throw new ApiError(response.status, fault);
}

const tokenKey = "kiln-token";

/** The administrator's token, kept until the window is closed. */
export function storedToken(): string | null {
  return sessionStorage.getItem(tokenKey);
}

export function storeToken(token: string | null): void {
  if (token === null) sessionStorage.removeItem(tokenKey);
  else sessionStorage.setItem(tokenKey, token);
  window.dispatchEvent(new Event("kiln-token"));
}

/** Whether changes may be offered. */
export function useAdministrator(): boolean {
  const [is, set] = useState(() => storedToken() !== null);
  useEffect(() => {
    const update = (): void => set(storedToken() !== null);
    window.addEventListener("kiln-token", update);
    return () => window.removeEventListener("kiln-token", update);
  }, []);
  return is;
}

export interface Asked<T> {
  readonly data: T | undefined;
  readonly error: Error | undefined;
  /** Asks again; what is shown stays meanwhile. */
  readonly again: () => void;
}

/** What the API says at an address; null asks nothing. */
export function useJson<T>(url: string | null): Asked<T> {
  const [state, setState] = useState<{ url: string | null; data?: T; error?: Error }>({ url });
  const [count, setCount] = useState(0);
  // Not after the page has been drawn, which can take a while: the answer may be here already.
  useLayoutEffect(() => {
    if (url === null) return undefined;
    const abort = new AbortController();
    getJson<T>(url, abort.signal).then(
      (data) => setState({ url, data }),
      (error: unknown) => {
        if (abort.signal.aborted) return;
        const known = error instanceof Error ? error : new Error(String(error));
        setState((before) => ({ ...(before.url === url ? before : { url }), error: known }));
      },
    );
    return () => abort.abort();
  }, [url, count]);
  const isCurrent = state.url === url;
  return {
    data: isCurrent ? state.data : undefined,
    error: isCurrent ? state.error : undefined,
    again: () => setCount((before) => before + 1),
  };
}
