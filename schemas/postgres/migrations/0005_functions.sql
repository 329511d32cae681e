-- What people and the website ask. Amounts of different currencies are never summed.

CREATE VIEW product_categories AS
SELECT p.sku, COALESCE(parent.name, c.name) AS category,
       CASE WHEN c.parent_id IS NOT NULL THEN c.name END AS sub_category
FROM products p
JOIN categories c USING (category_id)
LEFT JOIN categories parent ON parent.category_id = c.parent_id;
COMMENT ON VIEW product_categories IS 'Category and sub-category of each product that has one.';

CREATE FUNCTION stock_levels(min_quantity bigint)
RETURNS TABLE (
    sku text, product_name text, category text, sub_category text, location_id text,
    city text, state text, country text,
    on_hand bigint, reserved bigint, in_transit bigint, available bigint
)
LANGUAGE sql STABLE AS $$
    SELECT i.sku, p.name, pc.category, pc.sub_category, i.location_id,
           w.city, w.state, w.country,
           i.on_hand, i.reserved, i.in_transit,
           i.on_hand - i.reserved - p.safety_stock
    FROM inventory i
    JOIN products p ON p.sku = i.sku
    LEFT JOIN product_categories pc ON pc.sku = i.sku
    JOIN locations l ON l.location_id = i.location_id
    LEFT JOIN places w ON w.place_id = l.place_id
    WHERE i.on_hand >= min_quantity
    ORDER BY i.sku, i.location_id
$$;
COMMENT ON FUNCTION stock_levels(bigint) IS
    'Levels where at least min_quantity units are on hand; available = on hand - reserved - safety stock.';

CREATE FUNCTION check_low_stock(threshold bigint)
RETURNS TABLE (
    sku text, product_name text, category text, sub_category text, location_id text,
    city text, state text, country text,
    on_hand bigint, reserved bigint, in_transit bigint, available bigint
)
LANGUAGE sql STABLE AS $$
    SELECT s.*
    FROM stock_levels(-9223372036854775808) s
    JOIN products p ON p.sku = s.sku
    WHERE s.available <= threshold AND p.stocked AND NOT p.retired
    ORDER BY s.available, s.sku, s.location_id
$$;
COMMENT ON FUNCTION check_low_stock(bigint) IS
    'What is at or below the threshold: available units of stocked, not retired products, least first.';

CREATE FUNCTION sales_by_product_and_category()
RETURNS TABLE (
    category text, sub_category text, sku text, product_name text, currency text,
    units_sold bigint, units_returned bigint, amount_sold numeric, amount_returned numeric,
    amount numeric, orders bigint
)
LANGUAGE sql STABLE AS $$
    SELECT pc.category, pc.sub_category, p.sku, p.name, e.currency,
           COALESCE(sum(s.quantity) FILTER (WHERE s.quantity > 0), 0)::bigint,
           COALESCE(-sum(s.quantity) FILTER (WHERE s.quantity < 0), 0)::bigint,
           COALESCE(sum(s.amount) FILTER (WHERE s.quantity > 0), 0),
           COALESCE(-sum(s.amount) FILTER (WHERE s.quantity < 0), 0),
           sum(s.amount),
           count(DISTINCT e.order_id)
    FROM sales s
    JOIN sale_events e USING (cause_topic, cause_partition, cause_offset)
    JOIN products p ON p.sku = s.sku
    LEFT JOIN product_categories pc ON pc.sku = s.sku
    GROUP BY pc.category, pc.sub_category, p.sku, e.currency
    ORDER BY pc.category, pc.sub_category, p.sku, e.currency
$$;
COMMENT ON FUNCTION sales_by_product_and_category() IS
    'Units and money of each product, one row a currency; amount = sold - returned.';

CREATE FUNCTION sales_report(period text, from_date date, to_date date)
RETURNS TABLE (
    period_start date, currency text,
    units_sold bigint, units_returned bigint, amount_sold numeric, amount_returned numeric,
    amount numeric, orders bigint
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    unit text := CASE period WHEN 'daily' THEN 'day' WHEN 'weekly' THEN 'week'
                             WHEN 'monthly' THEN 'month' END;
BEGIN
    IF unit IS NULL THEN
        RAISE EXCEPTION 'The period % is not known.', period
            USING HINT = 'Ask for daily, weekly or monthly.', ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY
    SELECT date_trunc(unit, e.occurred_at AT TIME ZONE 'UTC')::date AS bucket, e.currency,
           COALESCE(sum(s.quantity) FILTER (WHERE s.quantity > 0), 0)::bigint,
           COALESCE(-sum(s.quantity) FILTER (WHERE s.quantity < 0), 0)::bigint,
           COALESCE(sum(s.amount) FILTER (WHERE s.quantity > 0), 0),
           COALESCE(-sum(s.amount) FILTER (WHERE s.quantity < 0), 0),
           sum(s.amount),
           count(DISTINCT e.order_id)
    FROM sale_events e
    JOIN sales s USING (cause_topic, cause_partition, cause_offset)
    WHERE e.occurred_at >= from_date::timestamp AT TIME ZONE 'UTC'
      AND e.occurred_at < (to_date + 1)::timestamp AT TIME ZONE 'UTC'
    GROUP BY bucket, e.currency
    ORDER BY bucket, e.currency;
END
$$;
COMMENT ON FUNCTION sales_report(text, date, date) IS
    'Sales by UTC day, week from Monday, or month (daily, weekly, monthly), both dates included; one row a currency.';
