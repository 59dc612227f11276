/** Where progress is written: standard error, or a stream with a size. */
export interface Terminal extends NodeJS.WritableStream {
  readonly columns?: number;
  readonly rows?: number;
}
