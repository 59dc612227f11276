-- What was asked of the daemon, what became of it, and which outputs derivations are known to have had.

-- A build: one request to realise or expand derivations.
create table builds (
  id text primary key, -- UUIDv7, lower case
  kind text not null check (kind in ('realize', 'expand')),
  state text not null, -- "running" until the build ends
  started_at integer not null, -- milliseconds since the Unix epoch, as all times here
  ended_at integer,
  user text, -- who asked, where that is known
  failure text, -- what went wrong outside of every result
  expansion text -- outcome of an expand build, as JSON: builder, args, env
) strict;

create index builds_by_time on builds (coalesce(ended_at, started_at), id);
create index builds_under_way on builds (id) where ended_at is null;

-- A derivation a build was asked for, in the order asked.
create table build_targets (
  build text not null references builds (id) on delete cascade,
  position integer not null,
  name text not null, -- what the user called it
  derivation text not null,
  primary key (build, position)
) strict, without rowid;

-- What one build did about one derivation.
create table results (
  id integer primary key,
  build text not null references builds (id) on delete cascade,
  derivation text not null,
  name text not null, -- the derivation's own name, to find earlier results of the same thing
  state text not null,
  derivation_hash blob check (length(derivation_hash) = 32), -- null until its inputs are known
  executor text, -- null when nothing was run
  build_user text,
  -- Where the builder works or worked: after a crash, what is left of it is looked for there.
  build_directory text,
  reason text, -- why it was built although something may have been there; null when it was not
  reason_detail text, -- JSON
  failure_kind text check (failure_kind in ('builder', 'input', 'limit', 'internal')),
  failure_code text,
  failure_message text,
  exit_code integer,
  signal text,
  started_at integer not null,
  builder_started_at integer,
  builder_ended_at integer,
  ended_at integer,
  log_size integer, -- bytes; null when there never was a log
  unique (build, derivation)
) strict;

create index results_by_name on results (name, ended_at) where state = 'built';

-- An output of a result; the path is null until it is made or found.
create table result_outputs (
  result integer not null references results (id) on delete cascade,
  name text not null,
  path text,
  primary key (result, name)
) strict, without rowid;

-- An equivalence class: everything that is the same output of derivations with the same hash.
create table classes (
  id integer primary key,
  derivation_hash blob not null check (length(derivation_hash) = 32), -- SHA-256
  output text not null,
  unique (derivation_hash, output)
) strict;

-- A realisation: a path that once came out as a member of the class. The object may be gone; it counts again when it returns.
create table realizations (
  id integer primary key,
  class integer not null references classes (id),
  path text not null,
  -- SHA-256 that names the set of reference classes: with another set it is another realisation.
  reference_set blob not null check (length(reference_set) = 32),
  created_at integer not null,
  unique (class, path, reference_set)
) strict;

create index realizations_by_path on realizations (path);

-- A direct reference of a realisation, and the class that produced it (null: a source). A reference may have several rows.
create table reference_classes (
  realization integer not null references realizations (id) on delete cascade,
  path text not null,
  class integer references classes (id)
) strict;

create unique index reference_classes_by_realization on reference_classes (realization, path, coalesce(class, 0));

-- A signature under a realisation.
create table signatures (
  realization integer not null references realizations (id) on delete cascade,
  format text not null, -- "ed25519"
  public_key blob not null,
  signature blob not null,
  primary key (realization, format, public_key)
) strict, without rowid;
