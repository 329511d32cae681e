-- The contract for analysts and BI tools: docs/warehouse.md says what each column means.

CREATE OR REPLACE VIEW sales ${on_cluster} AS
SELECT
    s.order_id AS order_id,
    s.line_no AS line_no,
    s.channel AS channel,
    s.occurred_at AS occurred_at,
    s.recorded_at AS recorded_at,
    s.known_at AS known_at,
    s.location_id AS location_id,
    s.ship_to_country AS ship_to_country,
    s.ship_to_state AS ship_to_state,
    s.ship_to_city AS ship_to_city,
    s.market AS market,
    s.region AS region,
    s.customer_id AS customer_id,
    c.segment AS segment,
    s.order_priority AS order_priority,
    s.sku AS sku,
    p.name AS product_name,
    p.category AS category,
    p.sub_category AS sub_category,
    s.quantity AS quantity,
    s.unit_price AS unit_price,
    s.discount AS discount,
    s.amount AS amount,
    s.currency AS currency
FROM fact_sales AS s FINAL
LEFT ANY JOIN (SELECT sku, name, category, sub_category FROM dim_product FINAL) AS p
    ON p.sku = s.sku
LEFT ANY JOIN (SELECT customer_id, segment FROM dim_customer FINAL) AS c
    ON c.customer_id = s.customer_id;

CREATE OR REPLACE VIEW stock_movements ${on_cluster} AS
SELECT
    sku, location_id, kind, on_hand_delta, reserved_delta, in_transit_delta,
    on_hand, reserved, in_transit, version, occurred_at, recorded_at, known_at,
    command_id, order_id, line_no, document, reason, by, backfill, flags
FROM fact_stock_movements FINAL;

CREATE OR REPLACE VIEW stock_levels ${on_cluster} AS
SELECT
    l.sku AS sku,
    p.name AS product_name,
    p.category AS category,
    p.sub_category AS sub_category,
    l.location_id AS location_id,
    l.on_hand AS on_hand,
    l.reserved AS reserved,
    l.in_transit AS in_transit,
    p.safety_stock AS safety_stock,
    l.on_hand - l.reserved - p.safety_stock AS available,
    l.version AS version,
    l.counted_at AS counted_at,
    l.unknown_product AS unknown_product,
    l.recorded_at AS updated_at
FROM stock_levels_current AS l FINAL
LEFT ANY JOIN (SELECT sku, name, category, sub_category, safety_stock FROM dim_product FINAL) AS p
    ON p.sku = l.sku
WHERE NOT l.retired;

-- A month's sum counts as a whole where all of it had happened by `at` and was known by
-- `known_by`, and not at all where none of it was; only of the others the facts are read.
CREATE OR REPLACE VIEW stock_as_of ${on_cluster} AS
SELECT
    sku,
    location_id,
    sum(on_hand) AS on_hand,
    sum(reserved) AS reserved,
    sum(in_transit) AS in_transit,
    sum(movements) AS movements
FROM (
    SELECT sku, location_id, on_hand, reserved, in_transit, movements
    FROM stock_monthly FINAL
    WHERE occurred_max <= {at:DateTime64(3, 'UTC')} AND known_max <= {known_by:DateTime64(3, 'UTC')}
    UNION ALL
    SELECT sku, location_id, on_hand_delta, reserved_delta, in_transit_delta, toUInt64(1)
    FROM fact_stock_movements FINAL
    WHERE (toYYYYMM(occurred_at), sku, location_id, toYYYYMM(known_at)) IN (
            SELECT month, sku, location_id, known_month
            FROM stock_monthly FINAL
            WHERE occurred_min <= {at:DateTime64(3, 'UTC')}
                AND known_min <= {known_by:DateTime64(3, 'UTC')}
                AND (occurred_max > {at:DateTime64(3, 'UTC')}
                    OR known_max > {known_by:DateTime64(3, 'UTC')})
        )
        AND occurred_at <= {at:DateTime64(3, 'UTC')} AND known_at <= {known_by:DateTime64(3, 'UTC')}
)
GROUP BY sku, location_id;

CREATE OR REPLACE VIEW alerts ${on_cluster} AS
SELECT
    sku, location_id, occurred_at, old_state, state, what, level, raise_at, clear_at, since, why,
    alert_id, threshold_source, version, by, recorded_at
FROM fact_alerts FINAL;

CREATE OR REPLACE VIEW sales_by_quarter ${on_cluster} AS
SELECT
    quarter,
    sub_category,
    ship_to_country,
    currency,
    sum(gross_amount) AS gross_amount,
    sum(returns) AS returns,
    sum(quantity) AS quantity,
    sum(orders) AS orders
FROM sales_quarterly FINAL
WHERE lines > 0
GROUP BY quarter, sub_category, ship_to_country, currency;

-- Orders are counted by a 64-bit hash: as exact at this size, and far faster than by their ids.
CREATE OR REPLACE VIEW sales_by_quarter_as_of ${on_cluster} AS
SELECT
    concat(toString(toYear(s.occurred_at)), '-Q', toString(toQuarter(s.occurred_at))) AS quarter,
    p.sub_category AS sub_category,
    s.ship_to_country AS ship_to_country,
    s.currency AS currency,
    sumIf(toDecimal128(s.amount, 4), s.quantity > 0) AS gross_amount,
    sumIf(toDecimal128(s.amount, 4), s.quantity < 0) AS returns,
    sum(s.quantity) AS quantity,
    uniqExactIf(cityHash64(s.order_id), s.quantity > 0) AS orders
FROM fact_sales AS s FINAL
LEFT ANY JOIN (SELECT sku, sub_category FROM dim_product FINAL) AS p ON p.sku = s.sku
WHERE s.known_at <= {known_by:DateTime64(3, 'UTC')}
GROUP BY quarter, sub_category, ship_to_country, currency;
