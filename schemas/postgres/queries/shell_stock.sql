-- One SKU at every place. $1: SKU, $2 and $3: raise and clear level where nobody set one.
SELECT i.location_id, l.name AS location_name, w.city, w.country, p.name AS product_name,
       i.on_hand, i.reserved, i.in_transit,
       i.on_hand - i.reserved - p.safety_stock AS available,
       COALESCE(t.raise_at, $2::bigint) AS raise_at,
       COALESCE(t.clear_at, $3::bigint) AS clear_at,
       COALESCE(t.source, 'default') AS threshold_source,
       CASE WHEN a.alert_id IS NULL THEN 'ok' ELSE a.severity END AS alert,
       i.unknown_product, i.counted_at, i.version
FROM inventory i
JOIN products p ON p.sku = i.sku
JOIN locations l ON l.location_id = i.location_id
LEFT JOIN places w ON w.place_id = l.place_id
LEFT JOIN alerts a ON a.sku = i.sku AND a.location_id = i.location_id
LEFT JOIN LATERAL (
    SELECT source, raise_at, clear_at
    FROM thresholds
    WHERE sku = i.sku AND location_id = i.location_id
      AND (source <> 'override' OR until IS NULL OR until > now())
    ORDER BY source = 'override' DESC
    LIMIT 1
) t ON true
WHERE i.sku = $1::text
ORDER BY i.location_id
