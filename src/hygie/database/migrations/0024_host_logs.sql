-- What a source of the watch keeps beside its position: of each followed file, which one it is and how many bytes were
-- read, and when each sender last spoke. Digests and numbers; nothing of what the lines say.

ALTER TABLE hygie.watch_cursor ADD COLUMN mark jsonb CHECK (length(mark::text) <= 1000000);
