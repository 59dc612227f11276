-- How the builder of a result was kept apart from the machine, for people: namespaces, or "none: why". Null when none was run.
alter table results add column isolation text;
