-- What the store holds. One row in "objects" is one store object; the row, not the file, decides whether it exists.

-- The one row that says whose database this is.
create table store (
  id integer primary key check (id = 1),
  -- Random name of this store, also kept in the store directory: a store cannot be opened with another store's database.
  uuid text not null,
  -- Logical store directory of every path in this database.
  directory text not null,
  created_at integer not null -- milliseconds since the Unix epoch
) strict;

-- A registered store object.
create table objects (
  id integer primary key,
  path text not null unique,
  nar_hash blob not null check (length(nar_hash) = 32), -- SHA-256 of the NAR of what lies on disk
  nar_size integer not null check (nar_size > 0),
  ca text not null, -- content address, as text
  registered_at integer not null, -- milliseconds since the Unix epoch
  -- When the bytes on disk were last known to be right, milliseconds since the Unix epoch; 0 when they were seen to be wrong.
  -- An inode changed after this moment makes the object worth reading again.
  verified_at integer not null
) strict;

-- "referrer" holds the path of "referent"; an object that holds its own path refers to itself.
create table object_references (
  referrer integer not null references objects (id) on delete cascade,
  referent integer not null references objects (id),
  primary key (referrer, referent)
) strict, without rowid;

create index object_references_by_referent on object_references (referent);

-- A name that Kiln is putting into, or taking out of, the store directory. At start, a name with an intent and without a row in
-- "objects" is Kiln's own unfinished work and is removed; a name without an intent is never touched.
create table intents (
  path text primary key,
  -- Inode number of what Kiln puts there, as decimal text; null when it is made there: then what came after the intent is Kiln's.
  inode text,
  created_at integer not null -- milliseconds since the Unix epoch
) strict, without rowid;
