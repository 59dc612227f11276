/** Keys of the page: one letter each, or `g` and a letter. They rest where something is typed, and can be switched off. */
import { useLayoutEffect, useRef } from "react";

export type Keys = Readonly<Record<string, (event: KeyboardEvent) => void>>;

const layers: { readonly current: Keys }[] = [];
let prefix = "";
let prefixTimer: ReturnType<typeof setTimeout> | undefined;
const offKey = "kiln-keys-off";

export function areKeysOff(): boolean {
  return localStorage.getItem(offKey) === "yes";
}

export function setKeysOff(off: boolean): void {
  if (off) localStorage.setItem(offKey, "yes");
  else localStorage.removeItem(offKey);
}

/** What keys do while this is shown; what was shown last comes first. */
export function useKeys(keys: Keys): void {
  const current = useRef(keys);
  current.current = keys;
  // Before it is painted: who sees the page can press the key.
  useLayoutEffect(() => {
    layers.push(current);
    return () => void layers.splice(layers.indexOf(current), 1);
  }, []);
}

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(?:INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || areKeysOff()) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape" && event.target instanceof HTMLElement) event.target.blur();
    return;
  }
  const combined = `${prefix}${event.key}`;
  clearTimeout(prefixTimer);
  prefix = "";
  for (const key of combined === event.key ? [combined] : [combined, event.key]) {
    const handler = layers.findLast(({ current }) => current[key] !== undefined)?.current[key];
    if (handler === undefined) continue;
    event.preventDefault();
    handler(event);
    return;
  }
  if (event.key === "g") {
    prefix = "g ";
    prefixTimer = setTimeout(() => (prefix = ""), 2000);
  }
});
