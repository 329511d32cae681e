-- What facts refer to. The latest Kafka offset of a key counts; deletion sets `retired`.

CREATE TABLE IF NOT EXISTS dim_product ${on_cluster} (
    sku LowCardinality(String),
    name String,
    category LowCardinality(String),
    sub_category LowCardinality(String),
    price Nullable(Decimal(18, 4)),
    currency LowCardinality(String),
    size String,
    barcode String,
    stocked Bool,
    safety_stock Int64,
    backorder_limit Int64,
    supplier_id String,
    retired Bool,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64
) ENGINE = ${replacing}(offset)
ORDER BY sku;

CREATE TABLE IF NOT EXISTS dim_location ${on_cluster} (
    location_id LowCardinality(String),
    name String,
    kind LowCardinality(String),
    city String,
    state String,
    country LowCardinality(String),
    market LowCardinality(String),
    region LowCardinality(String),
    retired Bool,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64
) ENGINE = ${replacing}(offset)
ORDER BY location_id;

-- No name, mail or street: personal data stand in the topic `customers` and in PostgreSQL only.
CREATE TABLE IF NOT EXISTS dim_customer ${on_cluster} (
    customer_id String,
    segment LowCardinality(String),
    country LowCardinality(String),
    retired Bool,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64
) ENGINE = ${replacing}(offset)
ORDER BY customer_id;

CREATE TABLE IF NOT EXISTS dim_supplier ${on_cluster} (
    supplier_id String,
    name String,
    country LowCardinality(String),
    lead_time_days Nullable(Int32),
    retired Bool,
    occurred_at DateTime64(3, 'UTC'),
    recorded_at DateTime64(3, 'UTC'),
    known_at DateTime64(3, 'UTC'),
    topic LowCardinality(String),
    partition Int32,
    offset Int64
) ENGINE = ${replacing}(offset)
ORDER BY supplier_id;

-- Every day that an event may carry, from 1970 to 2199.
CREATE OR REPLACE VIEW dim_date ${on_cluster} AS
SELECT
    toDate32('1970-01-01') + toInt32(number) AS day,
    toYear(day) AS year,
    toQuarter(day) AS quarter_of_year,
    concat(toString(year), '-Q', toString(quarter_of_year)) AS quarter,
    toMonth(day) AS month_of_year,
    formatDateTime(day, '%Y-%m') AS month,
    toISOYear(day) AS iso_year,
    toISOWeek(day) AS iso_week,
    toDayOfWeek(day) AS weekday,
    weekday >= 6 AS is_weekend
FROM numbers(84006);
