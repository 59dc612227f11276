/** Where progress is written: standard error, or a stream with a size. */
export interface Terminal extends NodeJS.WritableStream {
  readonly columns?: number;
  readonly rows?: number;
}

/** The columns and rows of a terminal. Some say 0, or next to nothing, when they do not know. */
export function sizeOf({ columns = 0, rows = 0 }: Terminal): { columns: number; rows: number } {
  return { columns: columns < 10 ? 80 : columns, rows: rows < 2 ? 24 : rows };
}

/** The same stream that says {@link sizeOf} it. */
export function withSize(stream: Terminal): Terminal {
  return new Proxy(stream, {
    get(target, name) {
      if (name === "columns" || name === "rows") return sizeOf(target)[name];
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
