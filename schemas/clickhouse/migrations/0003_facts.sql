-- What happened: one row a fact, never changed. Topic, partition, offset and the place inside the
-- record are a fact's identity, so copying a record again changes nothing.

CREATE TABLE IF NOT EXISTS fact_sales ${on_cluster} (
    order_id String,
    line_no Int32,
    channel LowCardinality(String),
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    location_id LowCardinality(String),
    ship_to_country LowCardinality(String),
    ship_to_state LowCardinality(String),
    ship_to_city LowCardinality(String),
    market LowCardinality(String),
    region LowCardinality(String),
    customer_id String,
    order_priority LowCardinality(String),
    sku LowCardinality(String),
    quantity Int64,
    unit_price Decimal(18, 4),
    discount Decimal(7, 6),
    amount Decimal(18, 4),
    currency LowCardinality(String),
    unmatched Bool,
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    line Int32
) ENGINE = ${replacing}
PARTITION BY toYear(occurred_at)
ORDER BY (toDate32(occurred_at), sku, location_id, partition, offset, line);

CREATE TABLE IF NOT EXISTS fact_stock_movements ${on_cluster} (
    sku LowCardinality(String),
    location_id LowCardinality(String),
    kind LowCardinality(String),
    on_hand_delta Int64,
    reserved_delta Int64,
    in_transit_delta Int64,
    on_hand Int64,
    reserved Int64,
    in_transit Int64,
    version Int64,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    command_id String,
    command_partition Int32,
    command_offset Int64,
    order_id String,
    line_no Int32,
    document String,
    reason String,
    by String,
    backfill Bool,
    flags Array(LowCardinality(String)),
    topic LowCardinality(String),
    partition Int32,
    offset Int64,
    line Int32
) ENGINE = ${replacing}
PARTITION BY toYear(occurred_at)
ORDER BY (toYYYYMM(occurred_at), sku, location_id, partition, offset, line);

CREATE TABLE IF NOT EXISTS fact_alerts ${on_cluster} (
    sku LowCardinality(String),
    location_id LowCardinality(String),
    alert_id String,
    what LowCardinality(String),
    old_state LowCardinality(String),
    state LowCardinality(String),
    level Int64,
    raise_at Int64,
    clear_at Int64,
    threshold_source LowCardinality(String),
    since DateTime64(3, 'UTC'),
    why String,
    version Int64,
    by String,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64
) ENGINE = ${replacing}
PARTITION BY toYear(occurred_at)
ORDER BY (toYYYYMM(occurred_at), sku, location_id, partition, offset);

-- What is at a place now: the ledger's latest record of each key.
CREATE TABLE IF NOT EXISTS stock_levels_current ${on_cluster} (
    sku LowCardinality(String),
    location_id LowCardinality(String),
    on_hand Int64,
    reserved Int64,
    in_transit Int64,
    version Int64,
    counted_at Nullable(DateTime64(3, 'UTC')),
    unknown_product Bool,
    cause Map(LowCardinality(String), Int64),
    retired Bool,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64
) ENGINE = ${replacing}(offset)
ORDER BY (sku, location_id);
