import type { ReactElement } from "react";
export function ObjectPage(_props: { path: string }): ReactElement {
  return <h1>ObjectPage</h1>;
}
