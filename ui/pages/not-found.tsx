import type { ReactElement } from "react";
import { useTitle } from "../hooks.ts";
import { PageLink } from "../parts/bits.tsx";

export function NotFoundPage({ text }: { text: string }): ReactElement {
  useTitle("Not found");
  return (
    <div className="empty big">
      <h1>{text}</h1>
      <form action="/build/" className="row">
        <label>
          Build <input name="id" className="input" />
        </label>
        <button type="submit" className="button">
          Show
        </button>
      </form>
      <p>
        <PageLink to="/">All builds</PageLink>
      </p>
    </div>
  );
}
