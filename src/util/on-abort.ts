/** Those who wait for each signal. A signal by itself looks through all its listeners for each new one. */
const waiting = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `act` when `signal` is aborted, unless the result is disposed of before. It is not aborted yet. */
export function onAbort(signal: AbortSignal, act: () => void): Disposable {
  const acts = waiting.get(signal) ?? listenTo(signal);
  acts.add(act);
  return { [Symbol.dispose]: () => void acts.delete(act) };
}

function listenTo(signal: AbortSignal): Set<() => void> {
  const acts = new Set<() => void>();
  waiting.set(signal, acts);
  const listen = (): void => {
    for (const act of acts) act();
  };
  signal.addEventListener("abort", listen, { once: true });
  return acts;
}
