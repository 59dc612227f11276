/** All routes of the HTTP API. */
import { buildRoutes } from "./builds.ts";
import { logRoutes } from "./logs.ts";
import { objectRoutes } from "./objects.ts";
import type { Route } from "./route.ts";
import { statusRoutes } from "./status.ts";

export const routes: readonly Route[] = [
  ...buildRoutes,
  ...logRoutes,
  ...objectRoutes,
  ...statusRoutes,
];
