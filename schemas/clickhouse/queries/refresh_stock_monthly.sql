-- Computes the months of the SKUs anew, at all their places.
INSERT INTO stock_monthly
SELECT
    toYYYYMM(occurred_at) AS month,
    sku,
    location_id,
    toYYYYMM(known_at) AS known_month,
    sum(on_hand_delta),
    sum(reserved_delta),
    sum(in_transit_delta),
    count(),
    min(occurred_at),
    max(occurred_at),
    min(known_at),
    max(known_at)
FROM fact_stock_movements FINAL
WHERE toYYYYMM(occurred_at) IN %(months)s AND sku IN %(skus)s
GROUP BY month, sku, location_id, known_month
