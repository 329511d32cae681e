-- Alerts that are open now, worst and oldest first. One closed by hand has no alert_id.
SELECT a.sku, p.name AS product_name, a.location_id, a.severity, a.level, a.since,
       a.acknowledged_by, a.snoozed_until, a.alert_id
FROM alerts a
JOIN products p ON p.sku = a.sku
WHERE a.severity <> 'ok' AND a.alert_id IS NOT NULL
ORDER BY array_position(ARRAY['out', 'critical', 'low'], a.severity), a.since NULLS LAST,
         a.sku, a.location_id
