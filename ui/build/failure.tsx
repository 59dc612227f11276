import type { ReactElement } from "react";
import { apiUrl, useJson } from "../api.ts";
import type { ResultDetailMessage } from "../api.ts";
import { duration } from "../format.ts";
import { PageLink, resultHref } from "../parts/bits.tsx";
import { StateIcon } from "../parts/state.tsx";
import type { LiveBuild, LiveResult } from "./live-build.ts";

/** The likely cause before anything else. */
export function Failure({ build, result }: { build: LiveBuild; result: LiveResult }): ReactElement {
  const { drvPath, name, failure, durationMs } = result;
  const url = apiUrl(`/builds/${build.id}/result`, { drvPath });
  const cause = useJson<ResultDetailMessage>(url).data?.log.cause;
  const href = resultHref(build.id, drvPath);
  return (
    <section className={`cause-box s-${result.state}`} aria-label={`${name}: ${result.state}`}>
      <h2>
        <StateIcon state={result.state} />
        {name}
        <span className="quiet">
          {failure?.message}
          {durationMs !== null && ` after ${duration(durationMs)}`}
        </span>
      </h2>
      {cause !== undefined && cause !== null && (
        <pre>
          {cause.lines
            .slice(-6)
            .map(({ text }) => text)
            .join("\n")}
        </pre>
      )}
      <p className="again">
        {cause?.isError === true && (
          <PageLink to={`${href}#L${cause.lines[0]?.number}`}>
            Likely cause, line {cause.lines[0]?.number}
          </PageLink>
        )}
        <PageLink to={href}>Whole log</PageLink>
      </p>
    </section>
  );
}
