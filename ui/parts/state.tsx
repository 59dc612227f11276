/** States: a shape, a word and a colour each, never the colour alone. */
import type { ReactElement } from "react";

const shapes: Readonly<Record<string, ReactElement>> = {
  waiting: <circle cx="8" cy="8" r="5.2" className="dashed" />,
  substituting: <path d="M8 2.5v8.5M4 7.5l4 4 4-4M3.5 13.5h9" />,
  substituted: <path d="M8 2.5v8.5M4 7.5l4 4 4-4M3.5 13.5h9" />,
  running: <path d="M4 2.5 13 8l-9 5.5z" className="filled" />,
  built: <path d="m2.5 8.5 3.7 3.7 7.3-8" />,
  reused: <path d="M2.5 5.5h11M2.5 10.5h11" />,
  failed: <path d="m3.5 3.5 9 9m0-9-9 9" />,
  error: <path d="M8 2 14.5 13.5h-13zM8 6.5v3.2M8 11.4v.6" />,
  cancelled: <path d="M8 2.6a5.4 5.4 0 1 0 0 10.8A5.4 5.4 0 0 0 8 2.6M4.2 11.8l7.6-7.6" />,
  skipped: <path d="M3 8h10" />,
  interrupted: <path d="M5.2 5.6a2.8 2.8 0 1 1 4 2.6c-.8.4-1.2.9-1.2 1.9M8 12.6v.6" />,
};

/** A small drawing; what it means is said beside it, or by `label`. */
export function StateIcon({ state, label }: { state: string; label?: boolean }): ReactElement {
  return (
    <svg
      viewBox="0 0 16 16"
      className={`state-icon s-${state}`}
      {...(label === true ? { role: "img", "aria-label": state } : { "aria-hidden": true })}
    >
      {shapes[state] ?? shapes["error"]}
    </svg>
  );
}

export function StateWord({ state }: { state: string }): ReactElement {
  return (
    <span className={`state s-${state}`}>
      <StateIcon state={state} />
      {state.charAt(0).toUpperCase() + state.slice(1)}
    </span>
  );
}

export function StateBadge({ state, text }: { state: string; text?: string }): ReactElement {
  return (
    <span className={`badge s-${state}`}>
      <StateIcon state={state} />
      {text ?? state.charAt(0).toUpperCase() + state.slice(1)}
    </span>
  );
}

/** The order in which states are listed and drawn. */
export const stateOrder = [
  "reused",
  "substituted",
  "built",
  "failed",
  "error",
  "interrupted",
  "cancelled",
  "running",
  "substituting",
  "waiting",
  "skipped",
] as const;

type Counts = Readonly<Record<string, number>>;

export function totalOf(counts: Counts): number {
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}

/** How many results have ended. */
export function doneOf(counts: Counts): number {
  return (
    totalOf(counts) -
    ["running", "substituting", "waiting"].reduce((sum, state) => sum + (counts[state] ?? 0), 0)
  );
}

/** `18 results: 13 reused, 2 built`. */
export function countsText(counts: Counts): string {
  const parts = stateOrder.flatMap((state) =>
    (counts[state] ?? 0) > 0 ? [`${counts[state]} ${state}`] : [],
  );
  const total = totalOf(counts);
  return `${total} ${total === 1 ? "result" : "results"}${parts.length > 0 ? `: ${parts.join(", ")}` : ""}`;
}

/** A bar of all results, a part for each state. The counts stand beside it in words. */
export function StateBar({ counts }: { counts: Counts }): ReactElement {
  const total = Math.max(1, totalOf(counts));
  return (
    <div className="bar" aria-hidden="true">
      {stateOrder
        .filter((state) => (counts[state] ?? 0) > 0 && state !== "waiting" && state !== "skipped")
        .map((state) => (
          <span
            key={state}
            className={`fill f-${state}`}
            style={{ flexGrow: (counts[state] ?? 0) / total }}
          />
        ))}
      <span
        className="fill f-rest"
        style={{ flexGrow: ((counts["waiting"] ?? 0) + (counts["skipped"] ?? 0)) / total }}
      />
    </div>
  );
}

/** The counts in words, each with its shape. */
export function StateCounts({ counts }: { counts: Counts }): ReactElement {
  return (
    <ul className="counts">
      {stateOrder
        .filter((state) => (counts[state] ?? 0) > 0)
        .map((state) => (
          <li key={state} className={`s-${state}`}>
            <StateIcon state={state} />
            {counts[state]} {state}
          </li>
        ))}
    </ul>
  );
}
