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

// A store server, to be embedded, and what it can be told.
export { Server } from "./server/server.ts";
export type { ServerRequest } from "./server/server.ts";
export type { Caller, Door, Role } from "./server/access.ts";
export type { Exporter, PeerCredentials } from "./server/context.ts";
export type { ListenerOptions, PassedSocket, SocketPlace } from "./server/listener.ts";
export { NarReceiver } from "./server/nar-receiver.ts";
export type { ImportReport } from "./store/importer.ts";
export { DEFAULT_BUILD_USERS_GROUP, formatBuildUser, parseBuildUser } from "./server/options.ts";
export type {
  BuildScope,
  BuildUser,
  ContentAddressBufferCreator,
  Log,
  LogFields,
  LogLevel,
  ResourceLimits,
  SandboxMode,
  SandboxPath,
  ServerOptions,
  WaitForLock,
} from "./server/options.ts";
/** The options by the name they have in zb. */
export type { ServerOptions as Options } from "./server/options.ts";
export { canSandbox, systemSupportsSandbox } from "./server/sandbox-support.ts";

// A client of a server, embedded or not.
export { StoreClient } from "./rpc/client.ts";
export type { AbortOptions, ExportOptions, WatchOptions } from "./rpc/client.ts";
export { RpcError } from "./rpc/errors.ts";
export type { EventMessage, HelloMessage, Method, Params, Result } from "./rpc/protocol.ts";

// What goes in and out.
export {
  fromRpc,
  parseObjectInfo,
  printObjectInfo,
  toExportTrailer,
  toRpc,
} from "./format/object-info.ts";
export type { ObjectInfo, RpcObjectInfo } from "./format/object-info.ts";
export type { ExportTrailer } from "./format/export-stream.ts";
export { derivationExport } from "./format/derivation/archive.ts";
export { derivationPath } from "./format/derivation/print.ts";
export {
  inputPlaceholder,
  ownPlaceholder as outputPlaceholder,
} from "./format/derivation/placeholders.ts";
export type {
  Derivation as StoreDerivation,
  DerivationOutput as StoreDerivationOutput,
} from "./format/derivation/derivation.ts";
export { parseContentAddress, printContentAddress } from "./format/content-address.ts";
export type { ContentAddress, ContentAddressMethod } from "./format/content-address.ts";
export { Hash, parseHash } from "./format/hash.ts";
export type { HashType } from "./format/hash.ts";
export { SigningKey } from "./format/signature.ts";
export type { PublicKey } from "./format/realization.ts";
export { parseStoreDirectory, parseStorePath } from "./format/store-path.ts";
export type { StoreDirectory, StorePath } from "./format/store-path.ts";
export { hasCode, KilnError } from "./util/kiln-error.ts";
export type { ErrorKind, KilnErrorOptions } from "./util/kiln-error.ts";
