import type { ReactElement } from "react";
export function DerivationPage(_props: { path: string }): ReactElement {
  return <h1>DerivationPage</h1>;
}
