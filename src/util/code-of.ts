/** The `code` that Node, the system or a library has given an error: `ENOENT`, `ERR_MODULE_NOT_FOUND`, `Z_BUF_ERROR`. */
export function codeOf(thrown: unknown): string | undefined {
  if (!(thrown instanceof Error) || !("code" in thrown)) return undefined;
  return typeof thrown.code === "string" ? thrown.code : undefined;
}
