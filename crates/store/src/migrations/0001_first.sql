-- One text for SQLite and Postgres; {bytes} is BLOB in the one and BYTEA in the other.
--
-- Instants that are compared are microseconds since 1970 (BIGINT). Instants that are only shown, or that a state is
-- folded from, are RFC 3339 texts, so that no digit of them is lost. Truth values are 0 and 1.

CREATE TABLE registry (
    only_one BIGINT PRIMARY KEY CHECK (only_one = 1),
    id TEXT NOT NULL,
    created TEXT NOT NULL
);

CREATE TABLE counters (
    name TEXT PRIMARY KEY,
    value BIGINT NOT NULL
);

-- One row per run. All but the definition follows from the run's events and is kept for lists.
CREATE TABLE runs (
    run TEXT PRIMARY KEY,
    pipeline TEXT NOT NULL,
    interval_start BIGINT NOT NULL,
    interval_end BIGINT NOT NULL,
    occurrence TEXT,
    status TEXT NOT NULL,
    created BIGINT NOT NULL,
    changed BIGINT NOT NULL,
    ended BIGINT,
    last_event BIGINT NOT NULL,
    definition {bytes} NOT NULL
);
CREATE INDEX runs_of_pipeline ON runs (pipeline, interval_start);
CREATE INDEX runs_by_age ON runs (created);
CREATE UNIQUE INDEX runs_of_occurrence ON runs (pipeline, occurrence);

-- The log: a run's state is the fold of these, and nothing else.
CREATE TABLE events (
    run TEXT NOT NULL REFERENCES runs (run),
    sequence BIGINT NOT NULL,
    at TEXT NOT NULL,
    format BIGINT NOT NULL,
    bytes {bytes} NOT NULL,
    PRIMARY KEY (run, sequence)
);

CREATE TABLE notes (
    id BIGINT PRIMARY KEY,
    run TEXT NOT NULL REFERENCES runs (run),
    step TEXT,
    at TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE INDEX notes_of_run ON notes (run);

-- Artifacts by manifest path. state: live, tombstone, deleting, expired.
CREATE TABLE artifacts (
    manifest TEXT PRIMARY KEY,
    digest TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    attempt BIGINT NOT NULL,
    created BIGINT NOT NULL,
    state TEXT NOT NULL,
    tombstoned BIGINT
);
CREATE INDEX artifacts_by_fingerprint ON artifacts (fingerprint);
CREATE INDEX artifacts_by_digest ON artifacts (digest);
CREATE INDEX artifacts_of_step ON artifacts (pipeline, step, created);
CREATE INDEX artifacts_by_state ON artifacts (state, tombstoned);

-- An artifact names files that lie in the prefix of an earlier one.
CREATE TABLE artifact_borrows (
    manifest TEXT NOT NULL REFERENCES artifacts (manifest),
    lender TEXT NOT NULL,
    PRIMARY KEY (manifest, lender)
);
CREATE INDEX artifact_borrows_of_lender ON artifact_borrows (lender);

-- Which artifact stands for which step of which run, made there or taken over.
CREATE TABLE artifact_uses (
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    manifest TEXT NOT NULL REFERENCES artifacts (manifest),
    PRIMARY KEY (run, step, manifest)
);
CREATE INDEX artifact_uses_of_manifest ON artifact_uses (manifest);

CREATE TABLE models (
    model TEXT PRIMARY KEY,
    created TEXT NOT NULL
);

-- Numbers that were given out, whether or not a version came of them: none is given out twice.
CREATE TABLE reservations (
    model TEXT NOT NULL REFERENCES models (model),
    number BIGINT NOT NULL,
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    digest TEXT NOT NULL,
    at TEXT NOT NULL,
    PRIMARY KEY (model, number)
);
CREATE UNIQUE INDEX reservations_of_candidate ON reservations (model, run, step, digest);

CREATE TABLE versions (
    model TEXT NOT NULL REFERENCES models (model),
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    pipeline TEXT NOT NULL,
    run TEXT NOT NULL,
    step TEXT NOT NULL,
    gate TEXT,
    created TEXT NOT NULL,
    PRIMARY KEY (model, number)
);
CREATE INDEX versions_by_digest ON versions (digest);

-- Append-only. Where an alias stands is the fold of its rows; there is no second record of it.
-- `follows` is the alias's row before, 0 for the first: no two rows can follow the same one.
CREATE TABLE promotions (
    model TEXT NOT NULL REFERENCES models (model),
    sequence BIGINT NOT NULL,
    alias TEXT NOT NULL,
    follows BIGINT NOT NULL,
    from_version BIGINT,
    to_version BIGINT NOT NULL,
    at TEXT NOT NULL,
    by_run TEXT,
    by_gate TEXT,
    by_person TEXT,
    reason TEXT,
    pinned BIGINT NOT NULL,
    PRIMARY KEY (model, sequence),
    CHECK ((by_run IS NULL) = (by_gate IS NULL)),
    CHECK ((by_person IS NULL) = (reason IS NULL)),
    CHECK ((by_run IS NULL) <> (by_person IS NULL))
);
CREATE UNIQUE INDEX promotions_chain ON promotions (model, alias, follows);

CREATE TABLE outbox (
    id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    about TEXT NOT NULL,
    payload {bytes} NOT NULL,
    created BIGINT NOT NULL,
    due BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    last_error TEXT
);
CREATE INDEX outbox_by_due ON outbox (due);

-- Rows stay when a lease ends, so that the token of a name only rises.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
