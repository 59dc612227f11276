/** The public names of the package. Nothing inside imports this file. */

// Build files: what they import, and what runs them.
export {
  currentSystem,
  derivation,
  env,
  extract,
  fetchArchive,
  fetchUrl,
  installed,
  nodeBuild,
  nodeRuntime,
  param,
  path,
  perSystem,
  placeholder,
  readJson,
  readText,
  sources,
  storePath,
  target,
  text,
  tree,
} from "./author/api.ts";
export type {
  Buildable,
  BuildContext,
  Derivation,
  DerivationOf,
  DerivationOptions,
  Entry,
  ExtractOptions,
  FetchArchiveOptions,
  FetchUrlOptions,
  NodeBuildOptions,
  Output,
  Param,
  PathOptions,
  PerSystem,
  Printable,
  Source,
  SourcesOptions,
  System,
  TargetFunction,
  Value,
} from "./author/api.ts";

// A store server, to be embedded, and what goes in and out of it.
export { Server } from "./server/server.ts";
export type { ServerRequest } from "./server/server.ts";
export type { Exporter, PeerCredentials } from "./server/context.ts";
export type { ListenerOptions, PassedSocket, SocketPlace } from "./server/listener.ts";
export { NarReceiver } from "./server/nar-receiver.ts";
export { DEFAULT_BUILD_USERS_GROUP, formatBuildUser, parseBuildUser } from "./server/options.ts";
export type {
  BuildScope,
  BuildUser,
  Log,
  LogLevel,
  SandboxPath,
  ServerOptions,
  WaitForLock,
} from "./server/options.ts";
export { canSandbox, systemSupportsSandbox } from "./server/sandbox-support.ts";
export { StoreClient } from "./rpc/client.ts";
export {
  fromRpc,
  parseObjectInfo,
  printObjectInfo,
  toExportTrailer,
  toRpc,
} from "./format/object-info.ts";
export type { ObjectInfo, RpcObjectInfo } from "./format/object-info.ts";
export type { ExportTrailer } from "./format/export-stream.ts";
export { SigningKey } from "./format/signature.ts";
export type { PublicKey } from "./format/realization.ts";
export { parseStoreDirectory, parseStorePath } from "./format/store-path.ts";
export type { StoreDirectory, StorePath } from "./format/store-path.ts";
export { hasCode, KilnError } from "./util/kiln-error.ts";
export type { ErrorKind, KilnErrorOptions } from "./util/kiln-error.ts";
