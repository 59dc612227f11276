-- Whether the intent also stands for objects of the same name that a build makes of what appears there: these have an intent of their own
-- only when they are imported. After a crash, what has such a name and is not registered is Kiln's if it changed within minutes of "created_at".
alter table intents add column foretells integer not null default 0 check (foretells in (0, 1));

-- Until now only names under which builders work had no inode.
update intents set foretells = 1 where inode is null;
