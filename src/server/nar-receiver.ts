/** Objects that come in one by one: bytes of a NAR, then what the sender says about it. */
import type { ExportTrailer } from "../format/export-stream.ts";
import type { Importer, ImportReport } from "../store/importer.ts";

/** Takes the objects of one sender; made by `Server.narReceiver`. Dispose of it when the sender is gone. */
export class NarReceiver implements AsyncDisposable {
  readonly #importer: Importer;

  constructor(importer: Importer) {
    this.#importer = importer;
  }

  /**
   * Takes bytes of the current object's NAR and gives how many of them belong to it: fewer than there are when it ends in them.
   *
   * @throws KilnError `nar.…` when they are no NAR; then the sender cannot be understood any more
   */
  write(bytes: Buffer): number {
    return this.#importer.write(bytes);
  }

  /** Whether the current object's NAR is complete. */
  get finished(): boolean {
    return this.#importer.finished;
  }

  /**
   * Ends the current object. It is checked, made durable and registered, or it is dropped: the report says which. Only a NAR that
   * is not complete throws.
   */
  async receiveNAR(trailer: ExportTrailer): Promise<ImportReport> {
    await this.#importer.receive(trailer);
    await this.#importer.flush();
    const report = this.#importer.reports.splice(0).at(-1);
    return report ?? { storePath: trailer.storePath, status: "rejected" };
  }

  /** Frees what it holds; a second call does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#importer[Symbol.asyncDispose]();
  }
}
