-- Who is told of a finding, by which channel, at which step: one row from the moment it is due. What the receiver accepted
-- is sent; what waits is tried again at due_ms. A finding that somebody took in charge cancels what was not sent.

CREATE TABLE hygie.notice (
    finding    text    NOT NULL REFERENCES hygie.finding (id),
    step       integer NOT NULL CHECK (step BETWEEN 0 AND 100),
    channel    text    NOT NULL CHECK (channel ~ '^[a-z][a-z0-9-]{0,31}$'),
    planned_ms bigint  NOT NULL,
    due_ms     bigint  NOT NULL,
    sent_ms    bigint,
    tries      integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    code       text    NOT NULL DEFAULT '' CHECK (length(code) <= 100),
    state      text    NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'given-up', 'cancelled')),
    PRIMARY KEY (finding, step, channel),
    CHECK ((state = 'sent') = (sent_ms IS NOT NULL))
);
CREATE INDEX notice_waiting ON hygie.notice (channel, due_ms) WHERE state = 'waiting';

GRANT SELECT, INSERT ON hygie.notice TO hygie_watch;
GRANT UPDATE (due_ms, sent_ms, tries, code, state) ON hygie.notice TO hygie_watch;
GRANT SELECT ON hygie.notice TO hygie_console, hygie_sealer;
