declare module "unbzip2-stream" {
  /** Everything it emits is emitted before `write` or `end` returns. */
  interface Unbzip2Stream {
    on(event: "data", listener: (block: Uint8Array) => void): this;
    on(event: "error", listener: (error: Error) => void): this;
    write(chunk: Uint8Array): boolean;
    end(): void;
  }

  export default function unbzip2Stream(): Unbzip2Stream;
}
