-- How many awaited states are not here yet.
-- $1: ledgers, $2: SKU or order id of each, $3: place of each or '', $4: versions.
SELECT count(*)
FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS w (ledger, id, place, version)
LEFT JOIN inventory i
    ON w.ledger = 'stock-levels' AND i.sku = w.id AND i.location_id = w.place
LEFT JOIN orders o ON w.ledger = 'order-states' AND o.order_id = w.id
LEFT JOIN alerts a
    ON w.ledger = 'alert-states' AND a.sku = w.id AND a.location_id = w.place
WHERE COALESCE(i.version, o.version, a.version, -1) < w.version
