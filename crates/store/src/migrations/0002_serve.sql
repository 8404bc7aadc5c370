-- What a server keeps: pipelines, schedules, occurrences, backfills, slots, tokens, audit. The conventions are those of
-- the first step.

CREATE INDEX runs_of_pipeline_by_age ON runs (pipeline, created);
CREATE INDEX runs_live ON runs (created) WHERE ended IS NULL;

-- The last version of each pipeline that could be read.
CREATE TABLE pipelines (
    pipeline TEXT PRIMARY KEY,
    file TEXT NOT NULL,
    text {bytes} NOT NULL,
    digest TEXT NOT NULL,
    loaded BIGINT NOT NULL
);
CREATE INDEX pipelines_of_file ON pipelines (file);

-- Files of the server's folder that cannot be read, and since when.
CREATE TABLE pipeline_errors (
    file TEXT PRIMARY KEY,
    pipeline TEXT,
    error TEXT NOT NULL,
    since BIGINT NOT NULL
);

-- How far the occurrences of each pipeline have been decided. `follows` names the model whose promotions are followed;
-- then the watermark is a promotion's number, else an instant.
CREATE TABLE schedules (
    pipeline TEXT PRIMARY KEY,
    watermark BIGINT,
    follows TEXT,
    paused BIGINT,
    paused_by TEXT,
    paused_why TEXT
);

-- Everything that was due, once. state: waiting, queued, started, skipped.
CREATE TABLE occurrences (
    pipeline TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    due BIGINT NOT NULL,
    civil TEXT,
    state TEXT NOT NULL,
    reason TEXT,
    detail TEXT,
    stands_for BIGINT NOT NULL,
    run TEXT,
    backfill BIGINT,
    give_up BIGINT,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    PRIMARY KEY (pipeline, id),
    CHECK ((state = 'started') = (run IS NOT NULL)),
    CHECK ((state = 'skipped') = (reason IS NOT NULL))
);
CREATE INDEX occurrences_by_due ON occurrences (pipeline, due);
CREATE INDEX occurrences_by_state ON occurrences (state, pipeline, due);
CREATE INDEX occurrences_of_backfill ON occurrences (backfill, due) WHERE backfill IS NOT NULL;
CREATE INDEX occurrences_of_run ON occurrences (run) WHERE run IS NOT NULL;
CREATE INDEX occurrences_by_change ON occurrences (changed);

-- state: running, paused, cancelled, done.
CREATE TABLE backfills (
    id BIGINT PRIMARY KEY,
    pipeline TEXT NOT NULL,
    range_start BIGINT NOT NULL,
    range_end BIGINT NOT NULL,
    newest_first BIGINT NOT NULL,
    at_once BIGINT NOT NULL,
    promote BIGINT NOT NULL,
    state TEXT NOT NULL,
    by_whom TEXT NOT NULL,
    why TEXT,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_why TEXT,
    definition {bytes} NOT NULL
);
CREATE INDEX backfills_by_age ON backfills (created);

-- One row per live attempt. There is no counter: how many slots are taken is how many rows there are.
CREATE TABLE slots (
    run TEXT NOT NULL REFERENCES runs (run),
    step TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    pipeline TEXT NOT NULL,
    pool TEXT,
    taken BIGINT NOT NULL,
    PRIMARY KEY (run, step, attempt)
);

-- Who waits for a slot. A row that was not seen for a while counts for nothing.
CREATE TABLE slot_waits (
    run TEXT NOT NULL REFERENCES runs (run),
    step TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    pool TEXT,
    overall_limit BIGINT,
    pipeline_limit BIGINT,
    pool_limit BIGINT,
    priority BIGINT NOT NULL,
    deadline BIGINT,
    since BIGINT NOT NULL,
    seen BIGINT NOT NULL,
    PRIMARY KEY (run, step)
);

-- Bearer tokens by their hashes; the tokens themselves are nowhere.
CREATE TABLE tokens (
    id BIGINT PRIMARY KEY,
    name TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    roles TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    revoked BIGINT,
    last_used BIGINT
);
CREATE UNIQUE INDEX tokens_by_name ON tokens (name) WHERE revoked IS NULL;

-- Append-only, but for the outcome, which is known later.
CREATE TABLE audit (
    id BIGINT PRIMARY KEY,
    at BIGINT NOT NULL,
    who TEXT NOT NULL,
    via TEXT NOT NULL,
    action TEXT NOT NULL,
    about TEXT NOT NULL,
    why TEXT,
    outcome TEXT NOT NULL
);
CREATE INDEX audit_by_who ON audit (who, id);
CREATE INDEX audit_by_about ON audit (about, id);
CREATE INDEX audit_by_action ON audit (action, id);

-- Users whose data are not to be read any more.
CREATE TABLE erased_users (
    user_id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    by_whom TEXT NOT NULL,
    why TEXT
);
