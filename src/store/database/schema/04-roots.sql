-- When somebody last used the object (built with it, asked for it, sent it again), milliseconds since the Unix epoch; 0 when nobody
-- has since it was registered. Kept to within minutes.
alter table objects add column used_at integer not null default 0;

-- What a collection must keep, with all it refers to.
create table roots (
  name text primary key, -- a name that somebody gave, or the absolute path of a link
  kind text not null check (kind in ('name', 'link')), -- a link counts for as long as it is there and points at an object
  target text not null, -- store path; of a link, where it pointed when it was last looked at
  user text, -- who made it, where that is known
  created_at integer not null -- milliseconds since the Unix epoch
) strict, without rowid;

create index roots_by_target on roots (target);
