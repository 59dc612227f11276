import type { ReactElement } from "react";
export function BuildPage(_props: { id: string }): ReactElement {
  return <h1>BuildPage</h1>;
}
