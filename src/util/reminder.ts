/** Says again and again that something still goes on: after three seconds, and each time that it has taken twice as long. */
export function remindWhile(remind: (seconds: number) => void, first = 3): Disposable {
  let timer: NodeJS.Timeout;
  const wait = (from: number, until: number): void => {
    timer = setTimeout(
      () => {
        remind(until);
        wait(until, until * 2);
      },
      (until - from) * 1000,
    ).unref();
  };
  wait(0, first);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
