-- Sums that the sink computes anew from the facts of every day or month that a batch touched, and
-- replaces by key. Reports read these, because FINAL over all facts takes seconds.

-- orders: how many sold something that day. Tills and imports sell an order in one moment, so
-- these add up over days. Web orders may ship in parts, so they are kept one by one (as hashes).
CREATE TABLE IF NOT EXISTS sales_daily ${on_cluster} (
    day Date32,
    currency LowCardinality(String),
    channel LowCardinality(String),
    ship_to_country LowCardinality(String),
    sub_category LowCardinality(String),
    lines UInt64,
    quantity Int64,
    gross_amount Decimal(38, 4),
    returns Decimal(38, 4),
    orders UInt64,
    web_orders Array(UInt64),
    version UInt64
) ENGINE = ${replacing}(version)
ORDER BY (day, currency, channel, ship_to_country, sub_category);

-- The same of a quarter, summed from its days; here an order counts once however often it shipped.
CREATE TABLE IF NOT EXISTS sales_quarterly ${on_cluster} (
    quarter LowCardinality(String),
    currency LowCardinality(String),
    channel LowCardinality(String),
    ship_to_country LowCardinality(String),
    sub_category LowCardinality(String),
    lines UInt64,
    quantity Int64,
    gross_amount Decimal(38, 4),
    returns Decimal(38, 4),
    orders UInt64,
    version UInt64
) ENGINE = ${replacing}(version)
ORDER BY (quarter, currency, channel, ship_to_country, sub_category);

-- The movements of a SKU at a place that happened in one month and were known in another, summed.
-- Facts only come, never go: whichever sum counted more of them is the newer one.
CREATE TABLE IF NOT EXISTS stock_monthly ${on_cluster} (
    month UInt32,
    sku LowCardinality(String),
    location_id LowCardinality(String),
    known_month UInt32,
    on_hand Int64,
    reserved Int64,
    in_transit Int64,
    movements UInt64,
    occurred_min DateTime64(3, 'UTC'),
    occurred_max DateTime64(3, 'UTC'),
    known_min DateTime64(3, 'UTC'),
    known_max DateTime64(3, 'UTC')
) ENGINE = ${replacing}(movements)
ORDER BY (month, sku, location_id, known_month);
