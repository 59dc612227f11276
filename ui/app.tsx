/** The frame of all pages. */
import { type FormEvent, type ReactElement, useEffect, useRef, useState } from "react";
import { Link, Route, Switch, useLocation, useSearch } from "wouter";
import { KeyHelp } from "./parts/key-help.tsx";
import { useKeys } from "./keys.ts";
import { useConnection } from "./live.ts";
import { useNow } from "./hooks.ts";
import { elapsed } from "./format.ts";
import { BuildsPage } from "./pages/builds.tsx";
import { BuildPage } from "./pages/build.tsx";
import { ResultPage } from "./pages/result.tsx";
import { StorePage } from "./pages/store.tsx";
import { ObjectPage } from "./pages/object.tsx";
import { DerivationPage } from "./pages/derivation.tsx";
import { RootsPage } from "./pages/roots.tsx";
import { HealthPage } from "./pages/health.tsx";
import { NotFoundPage } from "./pages/not-found.tsx";

const sections = [
  ["/", "Builds", /^\/(?:$|build\/)/],
  ["/store/", "Store", /^\/store\//],
  ["/roots/", "Roots", /^\/roots\//],
  ["/health/", "Health", /^\/health\//],
] as const;

export function App(): ReactElement {
  const [location, navigate] = useLocation();
  const [isHelpOpen, setHelpOpen] = useState(false);
  useKeys({
    "/": () => document.querySelector<HTMLInputElement>("#find")?.focus(),
    "g b": () => navigate("/"),
    "g s": () => navigate("/store/"),
    "g r": () => navigate("/roots/"),
    "g h": () => navigate("/health/"),
    "?": () => setHelpOpen(true),
    j: () => moveFocus(1),
    k: () => moveFocus(-1),
  });
  useEffect(() => {
    // Another page is read from its beginning.
    window.scrollTo(0, 0);
  }, [location]);
  return (
    <>
      <a className="skip" href="#main">
        Skip to the content
      </a>
      <header className="top">
        <Link href="/" className="brand">
          <svg viewBox="0 0 20 20" aria-hidden="true">
            <path d="M2 18V10a8 8 0 0 1 16 0v8h-5v-8a3 3 0 0 0-6 0v8z" />
          </svg>
          Kiln
        </Link>
        <nav aria-label="Pages" className="pages">
          {sections.map(([href, name, pattern]) => (
            <Link
              key={href}
              href={href}
              {...(pattern.test(location) ? { "aria-current": "page" as const } : {})}
            >
              {name}
            </Link>
          ))}
        </nav>
        <Find />
        <ConnectionMark />
      </header>
      <main id="main" tabIndex={-1}>
        <Switch>
          <Route path="/" component={BuildsPage} />
          <Route path="/build/:id">{({ id }) => <BuildPage key={id} id={id} />}</Route>
          <Route path="/build/:id/result">{({ id }) => <ResultRoute id={id} />}</Route>
          <Route path="/store" component={StorePage} />
          <Route path="/store/object">
            <PathRoute of={(path) => <ObjectPage key={path} path={path} />} />
          </Route>
          <Route path="/store/derivation">
            <PathRoute of={(path) => <DerivationPage key={path} path={path} />} />
          </Route>
          <Route path="/roots" component={RootsPage} />
          <Route path="/health" component={HealthPage} />
          <Route>
            <NotFoundPage text="There is no such page." />
          </Route>
        </Switch>
      </main>
      {isHelpOpen && <KeyHelp onClose={() => setHelpOpen(false)} />}
    </>
  );
}

function ResultRoute({ id }: { id: string }): ReactElement {
  const drvPath = new URLSearchParams(useSearch()).get("drvPath") ?? "";
  return <ResultPage key={`${id} ${drvPath}`} id={id} drvPath={drvPath} />;
}

function PathRoute({ of }: { of: (path: string) => ReactElement }): ReactElement {
  return of(new URLSearchParams(useSearch()).get("path") ?? "");
}

/** Finds builds by id or target, and store paths. */
function Find(): ReactElement {
  const [, navigate] = useLocation();
  const input = useRef<HTMLInputElement>(null);
  const submit = (event: FormEvent): void => {
    event.preventDefault();
    const text = input.current?.value.trim() ?? "";
    if (text === "") return;
    input.current?.blur();
    if (text.startsWith("/")) navigate(storeAddress(text));
    else navigate(`/?q=${encodeURIComponent(text)}`);
  };
  return (
    <form className="find" role="search" aria-label="Whole page" onSubmit={submit}>
      <svg viewBox="0 0 16 16" className="icon" aria-hidden="true">
        <path d="M6.5 2.5a4 4 0 1 0 0 8 4 4 0 0 0 0-8M9.5 9.5 14 14" />
      </svg>
      <input
        id="find"
        ref={input}
        type="search"
        aria-label="Find a build, a derivation or a store path"
        placeholder="Build, derivation, store path"
        autoComplete="off"
        spellCheck={false}
      />
      <kbd aria-hidden="true">/</kbd>
    </form>
  );
}

function storeAddress(path: string): string {
  const page = path.endsWith(".drv") ? "derivation" : "object";
  return `/store/${page}?path=${encodeURIComponent(path)}`;
}

function ConnectionMark(): ReactElement {
  const connection = useConnection();
  const isLost = connection.state === "lost";
  const now = useNow(1000, isLost);
  const text =
    connection.state === "lost"
      ? now - connection.since > 10_000
        ? `Daemon stopped, showing ${new Date(connection.since).toLocaleTimeString("en-GB")}`
        : `Reconnecting, last update ${elapsed(now - connection.since)} ago`
      : connection.state === "live"
        ? "Live"
        : "";
  return (
    <div className={`connection c-${connection.state}`} role="status">
      <span className="dot" aria-hidden="true" />
      <span className="text">{text}</span>
    </div>
  );
}

/** Moves the focus among the entries of the page's lists. */
function moveFocus(step: number): void {
  const entries = [...document.querySelectorAll<HTMLElement>("main [data-entry]")];
  const at = entries.findIndex((entry) => entry === document.activeElement);
  entries[at < 0 ? 0 : Math.min(Math.max(at + step, 0), entries.length - 1)]?.focus();
}
