-- What is known of imports, refused records, and how far this store has come.

CREATE TABLE imports (
    import_id text PRIMARY KEY,
    source text NOT NULL,
    file text NOT NULL,
    status text NOT NULL,
    rows_read bigint NOT NULL,
    published_rows bigint NOT NULL,
    quarantined_rows bigint NOT NULL,
    skipped_rows bigint NOT NULL,
    cleaned jsonb NOT NULL,
    quarantined jsonb NOT NULL,
    published jsonb NOT NULL,
    seconds double precision NOT NULL,
    problem text,
    occurred_at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    version bigint NOT NULL
);
COMMENT ON TABLE imports IS 'Imports and their reports: every row read was published, quarantined or skipped.';
COMMENT ON COLUMN imports.import_id IS 'The run.';
COMMENT ON COLUMN imports.source IS 'The importer.';
COMMENT ON COLUMN imports.file IS 'What it read.';
COMMENT ON COLUMN imports.status IS 'running, done or failed.';
COMMENT ON COLUMN imports.rows_read IS 'Rows read from the file.';
COMMENT ON COLUMN imports.published_rows IS 'Rows that became events.';
COMMENT ON COLUMN imports.quarantined_rows IS 'Rows that could not be cleaned.';
COMMENT ON COLUMN imports.skipped_rows IS 'Rows that an earlier run had published.';
COMMENT ON COLUMN imports.cleaned IS 'Rule: rows it changed.';
COMMENT ON COLUMN imports.quarantined IS 'Reason: rows.';
COMMENT ON COLUMN imports.published IS 'Topic: records published.';
COMMENT ON COLUMN imports.seconds IS 'How long it took so far.';
COMMENT ON COLUMN imports.problem IS 'Why it failed.';
COMMENT ON COLUMN imports.occurred_at IS 'When it said so.';
COMMENT ON COLUMN imports.recorded_at IS 'When Kafka recorded it.';
COMMENT ON COLUMN imports.version IS 'Offset on topic imports.';

CREATE TABLE dead_letters (
    topic text NOT NULL,
    partition bigint NOT NULL,
    "offset" bigint NOT NULL,
    reason text NOT NULL,
    field text NOT NULL,
    detail text NOT NULL,
    key bytea,
    body bytea,
    headers jsonb NOT NULL,
    recorded_at timestamptz,
    letter_partition bigint NOT NULL,
    letter_offset bigint NOT NULL,
    dead_at timestamptz NOT NULL,
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX dead_letters_dead_at ON dead_letters (dead_at);
COMMENT ON TABLE dead_letters IS 'Records that were refused, as they came. One that was reported twice stands here once.';
COMMENT ON COLUMN dead_letters.topic IS 'Where the refused record stands.';
COMMENT ON COLUMN dead_letters.partition IS 'Its partition there.';
COMMENT ON COLUMN dead_letters."offset" IS 'Its offset there.';
COMMENT ON COLUMN dead_letters.reason IS 'A short code: invalid, wrong_key, ...';
COMMENT ON COLUMN dead_letters.field IS 'The field of the body at fault, where one is.';
COMMENT ON COLUMN dead_letters.detail IS 'The reason in words.';
COMMENT ON COLUMN dead_letters.key IS 'Its key, byte by byte.';
COMMENT ON COLUMN dead_letters.body IS 'Its body, byte by byte.';
COMMENT ON COLUMN dead_letters.headers IS 'Its own headers: a list of [name, value].';
COMMENT ON COLUMN dead_letters.recorded_at IS 'When Kafka recorded it.';
COMMENT ON COLUMN dead_letters.letter_partition IS 'Where the letter stands on dead-letters.';
COMMENT ON COLUMN dead_letters.letter_offset IS 'See letter_partition.';
COMMENT ON COLUMN dead_letters.dead_at IS 'When it was refused.';

CREATE TABLE stream_positions (
    topic text NOT NULL,
    partition bigint NOT NULL,
    topic_id text NOT NULL,
    next bigint NOT NULL,
    PRIMARY KEY (topic, partition)
);
COMMENT ON TABLE stream_positions IS 'How far this store has copied each topic; changed with the rows in one transaction.';
COMMENT ON COLUMN stream_positions.topic IS 'Topic.';
COMMENT ON COLUMN stream_positions.partition IS 'Partition.';
COMMENT ON COLUMN stream_positions.topic_id IS 'The broker''s identity of the topic; one made anew differs.';
COMMENT ON COLUMN stream_positions.next IS 'The first offset not yet copied.';
