/** Small parts that every page is made of. */
import { type ReactElement, type ReactNode, useEffect, useState } from "react";
import { Link } from "wouter";
import { ApiError } from "../api.ts";
import { useSlow } from "../hooks.ts";
import { nameOfPath } from "../format.ts";

/** A card with a heading. */
export function Panel(props: {
  title: ReactNode;
  aside?: ReactNode;
  tools?: ReactNode;
  children: ReactNode;
  id?: string;
  className?: string;
}): ReactElement {
  const { title, aside, tools, children, id, className = "" } = props;
  return (
    <section className={`panel ${className}`} {...(id === undefined ? {} : { id })}>
      <header className="panel-head">
        <h2>{title}</h2>
        {aside !== undefined && <span className="aside">{aside}</span>}
        {tools !== undefined && <div className="tools">{tools}</div>}
      </header>
      {children}
    </section>
  );
}

/** A choice among a few. */
export function Segments<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [T, ReactNode])[];
  onChange: (value: T) => void;
}): ReactElement {
  return (
    <div className="segments" role="group" aria-label={props.label}>
      {props.options.map(([value, text]) => (
        <button
          key={value}
          type="button"
          aria-pressed={value === props.value}
          onClick={() => props.onChange(value)}
        >
          {text}
        </button>
      ))}
    </div>
  );
}

export function CopyButton({ text, what }: { text: string; what: string }): ReactElement {
  const [isCopied, setCopied] = useState(false);
  useEffect(() => {
    if (!isCopied) return undefined;
    const timer = setTimeout(() => setCopied(false), 1500);
    return () => clearTimeout(timer);
  }, [isCopied]);
  return (
    <button
      type="button"
      className="icon-button"
      aria-label={isCopied ? "Copied" : `Copy ${what}`}
      title={isCopied ? "Copied" : `Copy ${what}`}
      onClick={() => {
        void navigator.clipboard?.writeText(text).then(() => setCopied(true));
      }}
    >
      <svg viewBox="0 0 16 16" className="icon" aria-hidden="true">
        {isCopied ? (
          <path d="m2.5 8.5 3.7 3.7 7.3-8" />
        ) : (
          <path d="M6 6h7.5v7.5H6zM10 6V2.5H2.5V10H6" />
        )}
      </svg>
    </button>
  );
}

/** A store path: the digest is quieter than the name. */
export function PathText({ path, copy = true }: { path: string; copy?: boolean }): ReactElement {
  const name = nameOfPath(path);
  return (
    <span className="path">
      <span className="quiet">{path.slice(0, path.length - name.length)}</span>
      <b>{name}</b>
      {copy && <CopyButton text={path} what="path" />}
    </span>
  );
}

export function objectHref(path: string): string {
  return `/store/object?path=${encodeURIComponent(path)}`;
}

export function derivationHref(path: string): string {
  return `/store/derivation?path=${encodeURIComponent(path)}`;
}

export function resultHref(buildID: string, drvPath: string): string {
  return `/build/${buildID}/result?drvPath=${encodeURIComponent(drvPath)}`;
}

export function rawLogHref(buildID: string, drvPath: string): string {
  return `/build/${buildID}/log?drvPath=${encodeURIComponent(drvPath)}`;
}

/** A label, a figure and a word about it. */
export function Figure(props: { label: string; value: ReactNode; note?: ReactNode }): ReactElement {
  return (
    <div className="figure">
      <dt>{props.label}</dt>
      <dd>
        <span className="value">{props.value}</span>
        {props.note !== undefined && <span className="note">{props.note}</span>}
      </dd>
    </div>
  );
}

export function Crumbs({ children }: { children: ReactNode }): ReactElement {
  return (
    <nav className="crumbs" aria-label="Breadcrumb">
      {children}
    </nav>
  );
}

/** Something went wrong while asking the daemon. */
export function Fault({ error }: { error: Error }): ReactElement {
  const isGone = !(error instanceof ApiError);
  return (
    <div className="empty" role="alert">
      <p>
        <b>{isGone ? "The daemon does not answer." : error.message}</b>
      </p>
      {isGone && <p>It may have stopped: kiln serve --ui starts it.</p>}
    </div>
  );
}

/** Nothing for a moment, then quiet shapes of what will come. */
export function Loading({ lines = 4 }: { lines?: number }): ReactElement {
  const isSlow = useSlow(true);
  return (
    <div className={isSlow ? "skeleton" : "skeleton hidden"} aria-busy="true">
      {Array.from({ length: lines }, (_, i) => (
        <span key={i} style={{ width: `${85 - ((i * 17) % 40)}%` }} />
      ))}
    </div>
  );
}

/** A link to another address of the page. */
export function PageLink(props: {
  to: string;
  children: ReactNode;
  className?: string;
  /** Whether it stands for an entry of a list: keys go from one to the next. */
  entry?: boolean;
}): ReactElement {
  return (
    <Link
      href={props.to}
      className={props.className ?? ""}
      {...(props.entry === true ? { "data-entry": "" } : {})}
    >
      {props.children}
    </Link>
  );
}
