import { useEffect, useLayoutEffect, useState } from "react";

/** The time, as often as it matters: each second, or each `every` milliseconds. */
export function useNow(every = 1000, isRunning = true): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    if (!isRunning) return undefined;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), every);
    return () => clearInterval(timer);
  }, [every, isRunning]);
  return now;
}

/** Sets the window's title, which carries the state of what is shown. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === "" ? "Kiln" : `${title} - Kiln`;
  }, [title]);
}

/** Whether something has taken longer than people notice. */
export function useSlow(isWaiting: boolean, milliseconds = 200): boolean {
  const [isSlow, setSlow] = useState(false);
  useEffect(() => {
    setSlow(false);
    if (!isWaiting) return undefined;
    const timer = setTimeout(() => setSlow(true), milliseconds);
    return () => clearTimeout(timer);
  }, [isWaiting, milliseconds]);
  return isSlow && isWaiting;
}

/** The width of an element in pixels; 0 before it is drawn. */
export function useWidth(element: HTMLElement | null): number {
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    if (element === null) return undefined;
    const measure = (): void => setWidth(element.clientWidth);
    measure();
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    return () => observer.disconnect();
  }, [element]);
  return width;
}
