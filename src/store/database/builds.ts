/** What builds were asked for and what became of them. */
import { Hash } from "../../format/hash.ts";
import { nameOf, parseStorePath, type StorePath } from "../../format/store-path.ts";
import type { Row, StoreDatabase } from "./open.ts";
import { bytesIn, integerIn, optionalIntegerIn, optionalTextIn, textIn } from "./row.ts";

export interface BuildRow {
  /** UUIDv7, lower case. */
  readonly id: string;
  readonly kind: "realize" | "expand";
  readonly state: string;
  /** Milliseconds since the Unix epoch, like all times here. */
  readonly startedAt: number;
  readonly endedAt: number | undefined;
  readonly user: string | undefined;
  /** What went wrong outside of every result. */
  readonly failure: string | undefined;
  /** Outcome of an expand build, as JSON. */
  readonly expansion: string | undefined;
  readonly targets: readonly TargetRow[];
}

export interface TargetRow {
  readonly name: string;
  readonly drvPath: StorePath;
}

export interface ResultRow {
  readonly drvPath: StorePath;
  /** The derivation's name. */
  readonly name: string;
  readonly state: string;
  /** SHA-256; undefined until its inputs are known. */
  readonly drvHash: Hash | undefined;
  readonly executor: string | undefined;
  /** How its builder was kept apart from the machine; undefined when none was run. */
  readonly isolation: string | undefined;
  readonly buildUser: string | undefined;
  readonly buildDirectory: string | undefined;
  readonly reason: { readonly code: string; readonly detail: string | undefined } | undefined;
  readonly failure:
    | { readonly kind: string; readonly code: string; readonly message: string }
    | undefined;
  readonly exitCode: number | undefined;
  readonly signal: string | undefined;
  readonly startedAt: number;
  readonly builderStartedAt: number | undefined;
  readonly builderEndedAt: number | undefined;
  readonly endedAt: number | undefined;
  /** Bytes; undefined when there is no log. */
  readonly logSize: number | undefined;
  /** By name; null until made or found. */
  readonly outputs: ReadonlyMap<string, StorePath | null>;
}

/** Which builds are looked for. */
export interface BuildQuery {
  /** Default, and for none: all. */
  readonly states?: readonly string[] | undefined;
  readonly user?: string | undefined;
  /** Part of an id, of a target's name (in any case) or of a target's derivation. */
  readonly text?: string | undefined;
  /** Id of a build: only those that come after it in the list. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** What is said of a result in a list of builds. */
export interface ResultHeadline {
  readonly drvPath: StorePath;
  readonly name: string;
  readonly state: string;
  readonly reason: ResultRow["reason"];
  readonly failureMessage: string | undefined;
}

/** A result that has an object among its outputs. */
export interface MakerRow {
  readonly buildID: string;
  readonly drvPath: StorePath;
  readonly state: string;
  readonly output: string;
  readonly endedAt: number | undefined;
}

const columns = `id, derivation, name, state, derivation_hash, executor, build_user, build_directory, reason, reason_detail,
  failure_kind, failure_code, failure_message, exit_code, signal, started_at, builder_started_at, builder_ended_at, ended_at,
  log_size, isolation`;

export class BuildTable {
  readonly #database: StoreDatabase;

  constructor(database: StoreDatabase) {
    this.#database = database;
  }

  /** Records a new build with its targets, or the present state of a known one. Call it within a transaction. */
  saveBuild(build: BuildRow): void {
    const { changes } = this.#database
      .prepare("update builds set state = ?, ended_at = ?, failure = ?, expansion = ? where id = ?")
      .run(
        build.state,
        build.endedAt ?? null,
        build.failure ?? null,
        build.expansion ?? null,
        build.id,
      );
    if (Number(changes) > 0) return;
    this.#database
      .prepare(
        `insert into builds (id, kind, state, started_at, ended_at, user, failure, expansion) values (?, ?, ?, ?, ?, ?, ?, ?)`,
      )
      .run(
        build.id,
        build.kind,
        build.state,
        build.startedAt,
        build.endedAt ?? null,
        build.user ?? null,
        build.failure ?? null,
        build.expansion ?? null,
      );
    const insert = this.#database.prepare(
      "insert into build_targets (build, position, name, derivation) values (?, ?, ?, ?)",
    );
    for (const [position, target] of build.targets.entries()) {
      insert.run(build.id, position, target.name, target.drvPath);
    }
  }

  /** Records a result or its present state. Call it within a transaction. */
  saveResult(buildID: string, result: ResultRow): void {
    const row = this.#database
      .prepare(
        `insert into results (build, derivation, name, state, derivation_hash, executor, build_user, build_directory, reason,
           reason_detail, failure_kind, failure_code, failure_message, exit_code, signal, started_at, builder_started_at,
           builder_ended_at, ended_at, log_size, isolation)
         values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
         on conflict (build, derivation) do update set
           state = excluded.state, derivation_hash = excluded.derivation_hash, executor = excluded.executor,
           build_user = excluded.build_user, build_directory = excluded.build_directory, reason = excluded.reason,
           reason_detail = excluded.reason_detail, failure_kind = excluded.failure_kind, failure_code = excluded.failure_code,
           failure_message = excluded.failure_message, exit_code = excluded.exit_code, signal = excluded.signal,
           started_at = excluded.started_at, builder_started_at = excluded.builder_started_at,
           builder_ended_at = excluded.builder_ended_at, ended_at = excluded.ended_at, log_size = excluded.log_size, isolation = excluded.isolation
         returning id`,
      )
      .get(
        buildID,
        result.drvPath,
        result.name,
        result.state,
        result.drvHash?.bytes ?? null,
        result.executor ?? null,
        result.buildUser ?? null,
        result.buildDirectory ?? null,
        result.reason?.code ?? null,
        result.reason?.detail ?? null,
        result.failure?.kind ?? null,
        result.failure?.code ?? null,
        result.failure?.message ?? null,
        result.exitCode ?? null,
        result.signal ?? null,
        result.startedAt,
        result.builderStartedAt ?? null,
        result.builderEndedAt ?? null,
        result.endedAt ?? null,
        result.logSize ?? null,
        result.isolation ?? null,
      );
    const id = integerIn(row ?? {}, "id");
    const insert = this.#database.prepare(
      "insert or replace into result_outputs (result, name, path) values (?, ?, ?)",
    );
    for (const [name, path] of result.outputs) insert.run(id, name, path);
  }

  /** The build with exactly this id. */
  find(id: string): BuildRow | undefined {
    const row = this.#database.prepare("select * from builds where id = ?").get(id);
    return row === undefined ? undefined : this.#build(row);
  }

  /** Builds without an end: those that were under way when their daemon died. */
  underWay(): BuildRow[] {
    const rows = this.#database.prepare("select * from builds where ended_at is null").all();
    return rows.map((row) => this.#build(row));
  }

  /** Ids by end, else start, the latest first. */
  recentIDs(limit: number): string[] {
    if (limit <= 0) return [];
    const rows = this.#database
      .prepare(
        "select id from builds order by coalesce(ended_at, started_at) desc, id desc limit ?",
      )
      .all(limit);
    return rows.map((row) => textIn(row, "id"));
  }

  /** Ids of builds that match, by end, else start, the latest first. */
  search(query: BuildQuery): string[] {
    const { states = [], user, text, before, limit } = query;
    const rows = this.#database
      .prepare(
        `select id from builds
         where (json_array_length(?1) = 0 or state in (select value from json_each(?1)))
           and (?2 is null or user = ?2)
           and (?3 is null or instr(id, ?3) > 0 or exists (
             select 1 from build_targets
             where build = builds.id and (instr(lower(name), ?3) > 0 or instr(derivation, ?3) > 0)))
           and (?4 is null or (coalesce(ended_at, started_at), id) <
             (select coalesce(ended_at, started_at), id from builds where id = ?4))
         order by coalesce(ended_at, started_at) desc, id desc limit ?5`,
      )
      .all(
        JSON.stringify(states),
        user ?? null,
        text?.toLowerCase() ?? null,
        before ?? null,
        limit,
      );
    return rows.map((row) => textIn(row, "id"));
  }

  /** How many builds there are. */
  count(): number {
    const row = this.#database.prepare("select count(*) as number from builds").get();
    return integerIn(row ?? {}, "number");
  }

  /** The result that says most about what happened in a build: a failure, else one that had a reason to be built. */
  headline(buildID: string): ResultHeadline | undefined {
    const row = this.#database
      .prepare(
        `select derivation, name, state, reason, reason_detail, failure_code, failure_message from results
         where build = ? and (failure_code is not null or reason is not null)
         order by case state when 'error' then 0 when 'interrupted' then 1 when 'failed' then 2 when 'cancelled' then 3 else 4 end,
           coalesce(ended_at, started_at), derivation limit 1`,
      )
      .get(buildID);
    if (row === undefined) return undefined;
    const reason = optionalTextIn(row, "reason");
    return {
      drvPath: parseStorePath(textIn(row, "derivation")),
      name: textIn(row, "name"),
      state: textIn(row, "state"),
      reason:
        reason === undefined
          ? undefined
          : { code: reason, detail: optionalTextIn(row, "reason_detail") },
      failureMessage: optionalTextIn(row, "failure_message"),
    };
  }

  /** The results that had `path` among their outputs, the latest first. */
  resultsWith(path: StorePath, limit: number): MakerRow[] {
    const rows = this.#database
      .prepare(
        `select results.build, results.derivation, results.state, result_outputs.name, results.ended_at from result_outputs
         join results on results.id = result_outputs.result
         where result_outputs.path = ? order by results.state = 'built' desc, results.ended_at desc limit ?`,
      )
      .all(path, limit);
    return rows.map((row) => ({
      buildID: textIn(row, "build"),
      drvPath: parseStorePath(textIn(row, "derivation")),
      state: textIn(row, "state"),
      output: textIn(row, "name"),
      endedAt: optionalIntegerIn(row, "ended_at"),
    }));
  }

  /** Ids of the builds that ended before a time. */
  endedBefore(time: number): string[] {
    const rows = this.#database.prepare("select id from builds where ended_at < ?").all(time);
    return rows.map((row) => textIn(row, "id"));
  }

  /** Forgets a build and its results. Call it within a transaction. */
  delete(id: string): void {
    this.#database.prepare("delete from builds where id = ?").run(id);
  }

  /** Results of a build by start, then derivation. */
  results(buildID: string): ResultRow[] {
    const rows = this.#database
      .prepare(`select ${columns} from results where build = ? order by started_at, derivation`)
      .all(buildID);
    return rows.map((row) => this.#result(row));
  }

  result(buildID: string, drvPath: StorePath): ResultRow | undefined {
    const row = this.#database
      .prepare(`select ${columns} from results where build = ? and derivation = ?`)
      .get(buildID, drvPath);
    return row === undefined ? undefined : this.#result(row);
  }

  /** How many results of a build are in each state. */
  counts(buildID: string): Map<string, number> {
    const rows = this.#database
      .prepare("select state, count(*) as number from results where build = ? group by state")
      .all(buildID);
    return new Map(rows.map((row) => [textIn(row, "state"), integerIn(row, "number")]));
  }

  /** How long the last `limit` times took that a derivation of this name was built, in milliseconds, latest first. */
  durations(name: string, limit: number): number[] {
    const rows = this.#database
      .prepare(
        `select ended_at - started_at as duration from results
         where state = 'built' and name = ? and ended_at is not null order by ended_at desc limit ?`,
      )
      .all(name, limit);
    return rows.map((row) => integerIn(row, "duration"));
  }

  /** The latest time a derivation of this name was built. */
  lastBuilt(name: string): { buildID: string; drvPath: StorePath } | undefined {
    const row = this.#database
      .prepare(
        `select build, derivation from results
         where state = 'built' and name = ? and ended_at is not null order by ended_at desc limit 1`,
      )
      .get(name);
    if (row === undefined) return undefined;
    return { buildID: textIn(row, "build"), drvPath: parseStorePath(textIn(row, "derivation")) };
  }

  /** The results in which a derivation of this name was built, the latest first. */
  timesBuilt(drvPath: StorePath, name: string, limit: number): (ResultRow & { buildID: string })[] {
    const rows = this.#database
      .prepare(
        `select build, ${columns} from results
         where state = 'built' and name = ? and derivation = ? order by ended_at desc limit ?`,
      )
      .all(name, drvPath, limit);
    return rows.map((row) => ({ ...this.#result(row), buildID: textIn(row, "build") }));
  }

  /**
   * Derivations that made an object, the latest first, and then those that may have, going by their names; some of them may not be in
   * the store. At most 16.
   */
  makersOf(path: StorePath): StorePath[] {
    const made = this.#database
      .prepare(
        `select derivation from result_outputs join results on results.id = result
         where path = ? group by derivation order by max(results.id) desc limit 8`,
      )
      .all(path);
    // The name of an output is that of its derivation, or that with a dash and the output's own.
    const words = nameOf(path).split("-");
    const names = words.map((_, i) => `-${words.slice(0, words.length - i).join("-")}.drv`);
    const named = this.#database
      .prepare(
        `select objects.path as derivation from json_each(?) as names
         join objects on substr(objects.path, -length(names.value)) = names.value
         order by names.key, objects.id desc limit 8`,
      )
      .all(JSON.stringify(names.slice(0, 4)));
    const all = [...made, ...named].map((row) => parseStorePath(textIn(row, "derivation")));
    return [...new Set(all)];
  }

  #build(row: Row): BuildRow {
    const id = textIn(row, "id");
    const targets = this.#database
      .prepare("select name, derivation from build_targets where build = ? order by position")
      .all(id);
    return {
      id,
      kind: textIn(row, "kind") === "expand" ? "expand" : "realize",
      state: textIn(row, "state"),
      startedAt: integerIn(row, "started_at"),
      endedAt: optionalIntegerIn(row, "ended_at"),
      user: optionalTextIn(row, "user"),
      failure: optionalTextIn(row, "failure"),
      expansion: optionalTextIn(row, "expansion"),
      targets: targets.map((target) => ({
        name: textIn(target, "name"),
        drvPath: parseStorePath(textIn(target, "derivation")),
      })),
    };
  }

  #result(row: Row): ResultRow {
    const outputs = this.#database
      .prepare("select name, path from result_outputs where result = ? order by name")
      .all(integerIn(row, "id"));
    const reason = optionalTextIn(row, "reason");
    const failureCode = optionalTextIn(row, "failure_code");
    return {
      drvPath: parseStorePath(textIn(row, "derivation")),
      name: textIn(row, "name"),
      state: textIn(row, "state"),
      drvHash:
        row["derivation_hash"] === null
          ? undefined
          : Hash.of("sha256", bytesIn(row, "derivation_hash")),
      executor: optionalTextIn(row, "executor"),
      isolation: optionalTextIn(row, "isolation"),
      buildUser: optionalTextIn(row, "build_user"),
      buildDirectory: optionalTextIn(row, "build_directory"),
      reason:
        reason === undefined
          ? undefined
          : { code: reason, detail: optionalTextIn(row, "reason_detail") },
      failure:
        failureCode === undefined
          ? undefined
          : {
              kind: textIn(row, "failure_kind"),
              code: failureCode,
              message: textIn(row, "failure_message"),
            },
      exitCode: optionalIntegerIn(row, "exit_code"),
      signal: optionalTextIn(row, "signal"),
      startedAt: integerIn(row, "started_at"),
      builderStartedAt: optionalIntegerIn(row, "builder_started_at"),
      builderEndedAt: optionalIntegerIn(row, "builder_ended_at"),
      endedAt: optionalIntegerIn(row, "ended_at"),
      logSize: optionalIntegerIn(row, "log_size"),
      outputs: new Map(
        outputs.map((output) => {
          const path = optionalTextIn(output, "path");
          return [textIn(output, "name"), path === undefined ? null : parseStorePath(path)];
        }),
      ),
    };
  }
}
