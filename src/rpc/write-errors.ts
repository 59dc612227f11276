/**
 * A stream whose failed writes do not end it.
 *
 * Node destroys a stream when a write fails, and with it all that was received and not read yet. But who asks for something and
 * leaves at once means it: the last message counts, also when an answer of ours to the one before it has met a closed door.
 */
import type { Duplex } from "node:stream";

type Done = (error?: Error | null) => void;

/** From now on a write that fails is never done; `onError` is told instead, and what was received can still be read. */
export function catchWriteErrors(stream: Duplex, onError: (error: Error) => void): void {
  const guard =
    (done: Done): Done =>
    (error) => {
      if (error) onError(error);
      else done();
    };
  const write = stream._write.bind(stream);
  stream._write = (chunk, encoding, done) => write(chunk, encoding, guard(done));
  const writeAll = stream._writev?.bind(stream);
  if (writeAll !== undefined) stream._writev = (chunks, done) => writeAll(chunks, guard(done));
}
