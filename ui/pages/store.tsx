import type { ReactElement } from "react";
export function StorePage(): ReactElement {
  return <h1>Store</h1>;
}
